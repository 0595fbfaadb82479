// Large, slow, broken and abandoned bodies.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import type { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { createLogger } from '@maildoot/runtime/logger';
import { captureLogs } from '@maildoot/testkit/logs';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, responseOf, startGateway } from './running-gateway.ts';
import { acceptedAll } from './samples.ts';

const MIB = 1024 * 1024;
const message = { from: 'no-reply@yourdomain.com', to: 'user@example.com', subject: 'Large', text: 'x' };
const logs = captureLogs();
let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(
    services,
    { BODY_BYTES_IN_FLIGHT: String(64 * MIB) },
    createLogger({ service: 'gateway', level: 'info', destination: logs.destination }),
  );
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

function openPost(headers: Record<string, string>): { request: ClientRequest; answered: Promise<ReturnType<typeof responseOf>> } {
  const { hostname, port } = new URL(gateway.url);
  const request = httpRequest({
    hostname,
    port,
    method: 'POST',
    path: '/v1/messages',
    headers: { authorization: `Bearer ${tenant.keys.full}`, 'content-type': 'application/json', ...headers },
  });
  const answered = new Promise<ReturnType<typeof responseOf>>((resolve, reject) => {
    request.on('response', async (response: IncomingMessage) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve(responseOf(response.statusCode ?? 0, response.headers, text));
    });
    request.on('error', reject);
  });
  answered.catch(() => undefined);
  return { request, answered };
}

const lastRequest = (): AcceptMessagesRequest => services.requestsOf<AcceptMessagesRequest>('acceptMessages').at(-1)!;

test('a 20 MB attachment arrives whole, read in a worker while small requests are answered', async () => {
  const content = randomBytes(20 * MIB);
  const body = JSON.stringify({ ...message, attachments: [{ filename: 'big.bin', content: content.toString('base64') }] });
  // Once before, so that the start of the worker is not part of the measurement.
  assert.equal((await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body })).status, 202);
  let running = true;
  const large = gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body }).finally(() => (running = false));
  const small: number[] = [];
  while (running) {
    const startedAt = performance.now();
    assert.equal((await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: message })).status, 202);
    small.push(performance.now() - startedAt);
  }
  const { status, json } = await large;
  assert.equal(status, 202);
  const arrived = services
    .requestsOf<AcceptMessagesRequest>('acceptMessages')
    .find((request) => request.messages[0]?.id === (json as { id: string }).id);
  assert.ok(content.equals(arrived?.messages[0]?.attachments[0]?.content ?? Buffer.alloc(0)));
  assert.ok(small.length > 3, `only ${small.length} small requests were answered beside the large one`);
});

test('a large batch is answered like a small one: bad items apart, hash and key included', async () => {
  const filler = 'x'.repeat(20_000);
  const body = Array.from({ length: 100 }, (_, index) => ({ ...message, text: filler, ...(index === 7 ? { to: 'nope' } : {}) }));
  const { status, json } = await gateway.call('POST', '/v1/messages', {
    key: tenant.keys.full,
    body,
    headers: { 'idempotency-key': 'big' },
  });
  assert.equal(status, 202);
  const { data } = json as { data: { id?: string; error?: { code: string } }[] };
  assert.equal(data.length, 100);
  assert.equal(data[7]?.error?.code, 'VALIDATION_ERROR');
  assert.deepEqual(
    data.flatMap(({ id }) => id ?? []),
    lastRequest().messages.map(({ id }) => id),
  );
  assert.equal(lastRequest().idempotencyKey, 'big');
  assert.equal(lastRequest().requestSha256.length, 32);
});

test('what is wrong with a large body is said like with a small one', async () => {
  const filler = 'x'.repeat(2 * MIB);
  const call = (body: unknown) => gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body });
  assert.deepEqual((await call({ ...message, text: filler, replyTo: 'x' })).issues, ['replyTo unknown_field']);
  assert.equal((await call(`{"text":"${filler}"`)).code, 'INVALID_JSON');
  assert.equal((await call('['.repeat(2 * MIB))).code, 'INVALID_JSON');
  assert.equal((await call(Buffer.concat([Buffer.from('"'), Buffer.alloc(2 * MIB, 0xff)]))).code, 'INVALID_JSON');
});

test('a message over 40 MB encoded is 413, alone and as an item', async () => {
  const attachments = [{ filename: 'a', content: Buffer.alloc(31 * MIB).toString('base64') }];
  const alone = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: { ...message, attachments } });
  assert.equal(alone.code, 'PAYLOAD_TOO_LARGE');
  const item = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: [message, { ...message, attachments }] });
  assert.equal((item.json as { data: { error?: { code: string } }[] }).data[1]?.error?.code, 'PAYLOAD_TOO_LARGE');
});

test('a body without a declared length is stopped at the limit, and the answer still arrives', async () => {
  const { request, answered } = openPost({ 'transfer-encoding': 'chunked' });
  const chunk = Buffer.alloc(MIB, 0x20);
  let response: Awaited<typeof answered> | undefined;
  answered.then((one) => (response = one));
  // Node's client forgets what it was writing when the answer ends the connection.
  for (let sent = 0; sent < 80 && response === undefined; sent++)
    await Promise.race([answered, new Promise<void>((resolve) => request.write(chunk, () => resolve()))]);
  assert.ok(response);
  assert.equal(response.status, 413);
  assert.equal(response.headers.connection, 'close');
  request.destroy();
});

test('a declared length over the limit is refused before the first byte', async () => {
  const { request, answered } = openPost({ 'content-length': String(61 * MIB) });
  request.flushHeaders();
  assert.equal((await answered).status, 413);
  request.destroy();
});

test('leave to send is given only when nothing speaks against the request', async () => {
  const continued = (headers: Record<string, string>): Promise<string> =>
    new Promise((resolve) => {
      const { request, answered } = openPost({ expect: '100-continue', ...headers });
      let outcome = 'refused';
      request.on('continue', () => {
        outcome = 'continued';
        request.end(JSON.stringify(message));
      });
      answered.then(({ status }) => resolve(`${outcome} ${status}`));
      request.flushHeaders();
    });
  const length = String(Buffer.byteLength(JSON.stringify(message)));
  assert.equal(await continued({ 'content-length': length }), 'continued 202');
  assert.equal(await continued({ 'content-length': length, authorization: 'Bearer mdsk_wrong' }), 'refused 401');
  assert.equal(await continued({ 'content-length': length, 'content-type': 'text/plain' }), 'refused 415');
  assert.equal(await continued({ 'content-length': String(61 * MIB) }), 'refused 413');
});

test('when too much is being read, more is 503 with Retry-After; afterwards there is room again', async () => {
  const held = openPost({ 'content-length': String(40 * MIB) });
  // A length that is only declared takes nobody's room.
  assert.equal(
    (await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: { ...message, text: 'x'.repeat(30 * MIB) } })).status,
    202,
  );
  held.request.write(Buffer.alloc(40 * MIB - 1, 0x20));
  await waitFor(
    async () => {
      const probe = openPost({ 'content-length': String(30 * MIB), expect: '100-continue' });
      probe.request.flushHeaders();
      const outcome = await Promise.race([
        probe.answered.then(({ status, headers }) => `${status} ${headers['retry-after']}`),
        new Promise((resolve) => probe.request.on('continue', resolve)),
      ]);
      probe.request.destroy();
      return outcome === '503 1';
    },
    { what: 'the budget to be taken' },
  );
  assert.equal(
    (await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: message })).status,
    202,
    'what still fits is taken',
  );
  held.request.destroy();
  const body = JSON.stringify({ ...message, text: 'x'.repeat(30 * MIB) });
  await waitFor(
    async () => (await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body, expectFailure: true })).status === 202,
    { what: 'room' },
  );
});

test('an upload that is given up leaves nothing behind but a line in the log', async () => {
  services.asked.length = 0;
  const { request } = openPost({ 'content-length': '1000' });
  request.write('{"from":');
  await new Promise((resolve) => setImmediate(resolve));
  request.destroy();
  await logs.waitForRecord(
    (record) => record.status === 499 && record.route === '/v1/messages',
    'the line of the request that was given up',
  );
  assert.deepEqual(services.requestsOf('acceptMessages'), []);
});

test('who hangs up after sending has sent', async () => {
  const hungUp = Promise.withResolvers<void>();
  const end = Promise.withResolvers<boolean>();
  services.instead<AcceptMessagesRequest>('acceptMessages', async (request, call) => {
    await hungUp.promise;
    end.resolve(call.signal.aborted);
    return acceptedAll(request);
  });
  services.asked.length = 0;
  const before = logs.records.length;
  const { request } = openPost({});
  request.end(JSON.stringify(message));
  await waitFor(() => services.requestsOf('acceptMessages').length === 1, { what: 'messaging to be asked' });
  request.destroy();
  await waitFor(() => logs.records.slice(before).some((record) => record.status === 499), { what: 'the gateway to notice' });
  // Goes over the same connection to messaging, behind anything that would end the call.
  await gateway.call('GET', '/v1/messages', { key: tenant.keys.full });
  hungUp.resolve();
  assert.equal(await end.promise, false);
  services.instead('acceptMessages');
});

test('a large body that takes long to check does not hold everybody else up', async () => {
  const to = Array.from({ length: 1000 }, (_, index) => `u${index}@example.com`);
  const item = JSON.stringify({ ...message, to });
  // One bad item in an atomic batch: everything is checked, nothing is sent on.
  const body = `{"atomic":true,"messages":[${Array(400).fill(item).join(',')},{}]}`;
  const wrong = ['messages[400].from required', 'messages[400].to required', 'messages[400].html content_required'];
  const shares: number[] = [];
  // The best of some: a busy machine lets everything stand still at times.
  for (let tries = 0; tries < 5 && !shares.some((share) => share < 0.5); tries++) {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const startedAt = performance.now();
    const response = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body });
    const tookMs = performance.now() - startedAt;
    delay.disable();
    assert.deepEqual(response.issues, wrong);
    shares.push(delay.max / 1e6 / tookMs);
  }
  assert.ok(Math.min(...shares) < 0.5, `the event loop stood still for these parts of the time: ${shares}`);
});

test('a connection is used again after a refusal of a small body', async () => {
  const { Agent } = await import('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { hostname, port } = new URL(gateway.url);
  const post = (): Promise<{ status: number; localPort: number }> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(
        { hostname, port, method: 'POST', path: '/v1/messages', agent, headers: { 'content-type': 'application/json' } },
        (response) => {
          const localPort = response.socket.localPort ?? 0;
          response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, localPort }));
        },
      );
      request.on('error', reject).end(JSON.stringify(message));
    });
  const first = await post();
  const second = await post();
  assert.equal(first.status, 401);
  assert.equal(second.localPort, first.localPort);
  agent.destroy();
});
