// GET /v1/events: pages and streams of the feed, as a client meets them.
import assert from 'node:assert/strict';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import type { ListEventsRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { rpcErrors } from '@maildoot/rpc/errors';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, {}, undefined, { recheckMs: 100, perTenant: 3, stalledAfterMs: 300 });
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
beforeEach(() => {
  tenant = services.addTenant();
  services.asked.length = 0;
  services.instead('listEvents');
});

const feedEvent = (seq: bigint, type = 'message.queued') => ({
  seq,
  event: { id: newId('evt'), type, at: new Date(), recipient: 'user@example.com' },
  messageId: tenant.messageId,
  batchId: '',
  tags: [],
  metadata: {},
  recordedAt: new Date(),
  dataJson: Buffer.alloc(0),
});

/** A feed that grows when it is told to; who asks for what isn't there waits as long as it says. */
function feed(): { grow(...types: string[]): void } {
  const events: ReturnType<typeof feedEvent>[] = [];
  let grown = Promise.withResolvers<void>();
  services.instead<ListEventsRequest>('listEvents', async ({ after, waitMs }, call) => {
    const behind = () => events.filter(({ seq }) => seq > after);
    if (behind().length === 0) {
      const waits = AbortSignal.any([AbortSignal.timeout(waitMs), call.signal]);
      await Promise.race([grown.promise, new Promise<void>((resolve) => waits.addEventListener('abort', () => resolve()))]);
    }
    return { events: behind(), nextAfter: behind().at(-1)?.seq ?? after, hasMore: false };
  });
  return {
    grow(...types) {
      for (const type of types) events.push(feedEvent(BigInt(events.length + 1), type));
      grown.resolve();
      grown = Promise.withResolvers();
    },
  };
}

interface Stream {
  request: ClientRequest;
  response: IncomingMessage;
  text(): string;
  /** The `id` lines so far. */
  ids(): number[];
  /** How it ended. */
  ended: Promise<'whole' | 'broken'>;
}

function open(headers: Record<string, string> = {}, path = '/v1/events', key = tenant.keys.read, at = gateway): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${at.url}${path}`, {
      headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream', ...headers },
    });
    request.on('error', reject).end();
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      const ended = new Promise<'whole' | 'broken'>((done) => {
        response.on('error', () => {}).on('close', () => done(response.complete ? 'whole' : 'broken'));
      });
      const ids = () => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
      resolve({ request, response, text: () => text, ids, ended });
    });
  });
}

test('a page: what is asked of messaging, and the event as webhooks will have it', async () => {
  services.instead('listEvents', () => ({ events: [feedEvent(41n, 'message.delivered')], nextAfter: 43n, hasMore: true }));
  const { json } = await gateway.call('GET', '/v1/events?after=40&limit=1', { key: tenant.keys.read });
  assert.deepEqual(services.requestsOf('listEvents'), [{ limit: 1, after: 40n, waitMs: 0 }]);
  const { data, next_cursor } = json as { data: { seq: number; data: { recipient: string } }[]; next_cursor: string };
  assert.equal(next_cursor, '43', 'behind what was looked at, not behind what is shown');
  const [event] = data;
  assert.deepEqual(Object.keys(event ?? {}), ['id', 'object', 'seq', 'type', 'created_at', 'timestamp', 'data']);
  assert.equal(event?.seq, 41);
  assert.equal(event?.data.recipient, 'user@example.com');
});

test('the end of the feed has no next page; after and cursor together: the further one', async () => {
  const { json } = await gateway.call('GET', '/v1/events', { key: tenant.keys.read });
  assert.equal((json as { next_cursor: unknown }).next_cursor, null);
  for (const query of ['after=7&cursor=9', 'after=9&cursor=7']) await gateway.call('GET', `/v1/events?${query}`, { key: tenant.keys.read });
  assert.deepEqual(
    services.requestsOf<ListEventsRequest>('listEvents').map(({ after }) => after),
    [0n, 9n, 9n],
  );
});

for (const [query, issue] of [
  ['after=-1', 'after invalid_position'],
  ['after=1.5', 'after invalid_position'],
  ['after=99999999999999999', 'after invalid_position'],
  ['after=9007199254740992', 'after invalid_position'],
  ['after=', 'after invalid_position'],
  ['cursor=abc', 'cursor invalid_cursor'],
  ['limit=101', 'limit too_large'],
  ['since=1', 'since unknown_field'],
] as const) {
  test(`refused: ?${query}`, async () => {
    const response = await gateway.call('GET', `/v1/events?${query}`, { key: tenant.keys.read });
    assert.deepEqual(response.issues, [issue]);
    assert.deepEqual(services.requestsOf('listEvents'), []);
  });
}

for (const [accept, streamed, because] of [
  ['text/event-stream', true, 'it is asked for'],
  ['text/event-stream, text/html, */*;q=0.1', true, 'it is named, JSON is not'],
  ['application/json;q=0.5, Text/Event-Stream', true, 'it is liked better'],
  ['application/json, text/event-stream', false, 'JSON is liked as much'],
  ['text/event-stream;q=0', false, 'it is refused'],
  ['*/*', false, 'it is not named'],
] as const) {
  test(`Accept: ${accept} is ${streamed ? 'a stream' : 'a page'}: ${because}`, async () => {
    const { request, response } = await open({ accept });
    assert.equal(response.headers['content-type'], streamed ? 'text/event-stream' : 'application/json; charset=utf-8');
    request.destroy();
  });
}

test('a stream goes on with what happens, each event once, in frames', async () => {
  const growing = feed();
  growing.grow('message.accepted');
  const stream = await open();
  await waitFor(() => stream.ids().length === 1, { what: 'what was there' });
  growing.grow('message.queued', 'message.delivered');
  await waitFor(() => stream.ids().length === 3, { what: 'what happened then' });
  assert.deepEqual(stream.ids(), [1, 2, 3]);
  const frame = /^id: 3\nevent: message\.delivered\ndata: (.*)$/m.exec(stream.text());
  assert.equal((JSON.parse(frame?.[1] ?? '{}') as { seq: number }).seq, 3);
  stream.request.destroy();
});

test('Last-Event-ID says where a stream goes on, also beside `after`; nonsense is refused', async () => {
  const growing = feed();
  growing.grow('message.accepted', 'message.queued', 'message.delivered');
  for (const [path, id, expected] of [
    ['/v1/events', '2', [3]],
    ['/v1/events?after=1', '2', [3]],
    ['/v1/events?after=2', '1', [3]],
    ['/v1/events', '', [1, 2, 3]],
  ] as const) {
    const stream = await open({ 'last-event-id': id }, path);
    await waitFor(() => stream.ids().length === expected.length, { what: `the events behind ${id} at ${path}` });
    assert.deepEqual(stream.ids(), expected);
    stream.request.destroy();
  }
  const refused = await gateway.call('GET', '/v1/events', {
    key: tenant.keys.read,
    headers: { accept: 'text/event-stream', 'last-event-id': 'x' },
  });
  assert.deepEqual(refused.issues, ['Last-Event-ID invalid_position']);
});

test('HEAD answers what GET would, and holds no place', async () => {
  for (let time = 0; time < 5; time++) {
    const head = await gateway.call('HEAD', '/v1/events', { key: tenant.keys.read, headers: { accept: 'text/event-stream' } });
    assert.equal(head.headers['content-type'], 'text/event-stream');
  }
});

test('one stream too many is 429 with Retry-After; a place is free again when its reader has gone; other tenants have their own', async () => {
  feed();
  const streams = [await open(), await open(), await open()];
  const refused = await gateway.call('GET', '/v1/events', { key: tenant.keys.full, headers: { accept: 'text/event-stream' } });
  assert.equal(refused.code, 'RATE_LIMITED');
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal((await gateway.call('GET', '/v1/events', { key: tenant.keys.full })).status, 200, 'pages are no streams');
  const other = await open({}, '/v1/events', services.addTenant().keys.read);
  assert.equal(other.response.statusCode, 200);
  streams[0]?.request.destroy();
  const again = await waitFor(
    async () => {
      const stream = await open();
      return stream.response.statusCode === 200 ? stream : undefined;
    },
    { what: 'a free place' },
  );
  for (const { request } of [...streams, other, again]) request.destroy();
});

test('a stream ends when its key is revoked', async () => {
  feed();
  const key = services.addKey({ tenantId: tenant.id, scope: 1 });
  const stream = await open({}, '/v1/events', key);
  assert.equal(stream.response.statusCode, 200);
  services.revoke(key);
  const startedAtMs = performance.now();
  assert.equal(await stream.ended, 'whole');
  assert.ok(performance.now() - startedAtMs < 15_000, 'the 5 s, and what a busy machine needs');
});

test('a stream ends whole when the gateway stops, and the stop does not wait for it', async () => {
  feed();
  const stopping = await startGateway(services);
  const stream = await open({}, '/v1/events', tenant.keys.read, stopping);
  const startedAtMs = performance.now();
  await stopping[Symbol.asyncDispose]();
  assert.equal(await stream.ended, 'whole');
  assert.ok(performance.now() - startedAtMs < 15_000);
});

test('messaging away: 503 before a stream begins, a whole end in the middle of one', async () => {
  const away = () => {
    throw rpcErrors.UNAVAILABLE({ message: 'away' });
  };
  services.instead('listEvents', away);
  const refused = await gateway.call('GET', '/v1/events', {
    key: tenant.keys.read,
    headers: { accept: 'text/event-stream' },
    expectFailure: true,
  });
  assert.equal(refused.status, 503);
  assert.ok(refused.headers['retry-after']);
  feed().grow('message.accepted');
  const stream = await open();
  services.instead('listEvents', away);
  assert.equal(await stream.ended, 'whole');
  assert.deepEqual(stream.ids(), [1]);
});

test('a reader that reads nothing is cut off, and events are not collected for it meanwhile', async () => {
  await using one = await startGateway(services, {}, undefined, { perTenant: 1, stalledAfterMs: 300 });
  let seq = 0n;
  let pages = 0;
  const big = 'x'.repeat(20_000);
  services.instead('listEvents', () => {
    pages++;
    const events = Array.from({ length: 50 }, () => ({ ...feedEvent(++seq), tags: [big] }));
    return { events, nextAfter: seq, hasMore: true };
  });
  const stream = await open({}, '/v1/events', tenant.keys.read, one);
  stream.response.pause();
  const next = await waitFor(
    async () => {
      const another = await open({}, '/v1/events', tenant.keys.read, one);
      return another.response.statusCode === 200 ? another : undefined;
    },
    { what: 'its place to be free' },
  );
  // What two sockets hold, some MB, and one page.
  assert.ok(pages < 60, `${pages} MB were asked for`);
  stream.response.resume();
  assert.equal(await stream.ended, 'broken');
  next.request.destroy();
});
