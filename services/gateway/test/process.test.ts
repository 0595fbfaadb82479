// The gateway as a process: health, what every answer carries, stopping, settings.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { waitFor } from '@maildoot/testkit/wait';
import { checkConfig, settings } from '../src/config.ts';
import { FakeServices } from './fake-services.ts';
import { startGateway } from './running-gateway.ts';

const required = {
  RPC_SECRET: 'a secret that all services of this test share',
  AUTH_ADDRESS: '127.0.0.1:1',
  MESSAGING_ADDRESS: '127.0.0.1:1',
  DELIVERY_ADDRESS: '127.0.0.1:1',
  DOMAIN_ADDRESS: '127.0.0.1:1',
  TEMPLATE_ADDRESS: '127.0.0.1:1',
};

test('health has a line per dependency, and a dependency in trouble does not make the gateway unready', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  type Health = { status: string; dependencies: Record<string, { ok: boolean; detail: string | null }> };
  const lines = await waitFor(
    async () => {
      const { status, dependencies } = (await gateway.call('GET', '/healthz')).json as Health;
      assert.equal(status, 'ready');
      const all = Object.entries(dependencies);
      return all.every(([, { ok }]) => ok) ? all.map(([name]) => name).sort() : undefined;
    },
    { what: 'every dependency to be well', intervalMs: 100 },
  );
  assert.deepEqual(lines, ['auth', 'delivery', 'domain-provisioning', 'messaging', 'template']);
  await services.down('delivery');
  const line = await waitFor(
    async () => {
      const { dependencies } = (await gateway.call('GET', '/healthz')).json as Health;
      return dependencies.delivery?.ok === false ? dependencies.delivery : undefined;
    },
    { what: 'delivery to be reported', intervalMs: 100 },
  );
  assert.match(line.detail ?? '', /^[A-Z_]+$/);
  assert.equal((await gateway.call('GET', '/readyz')).status, 200);
  assert.equal((await gateway.call('HEAD', '/healthz')).status, 200);
});

test('health names what a service behind the gateway can’t reach, and since when; readiness stays', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  type Health = { dependencies: Record<string, { ok: boolean; detail: string | null; since: string }> };
  const lines = async () => ((await gateway.call('GET', '/healthz')).json as Health).dependencies;
  services.health.messaging.report('database', false, 'cannot be reached');
  const since = services.health.messaging.snapshot().dependencies.database?.since.toISOString();
  const failing = await waitFor(async () => (await lines())['messaging.database'], { what: 'the line', intervalMs: 100 });
  assert.deepEqual(failing, { ok: false, detail: 'cannot be reached', since });
  assert.equal((await lines()).messaging?.ok, true, 'the service itself answers');
  assert.equal((await gateway.call('GET', '/readyz')).status, 200);
  services.health.messaging.report('database', true);
  await waitFor(async () => (await lines())['messaging.database']?.ok === true, { what: 'the end of the trouble', intervalMs: 100 });
  // Nobody knows how it is when the one who would say so can't be asked.
  await services.down('messaging');
  await waitFor(async () => (await lines()).messaging?.ok === false, { what: 'messaging to be reported', intervalMs: 100 });
  assert.equal((await lines())['messaging.database'], undefined);
});

test('every answer forbids what it does not need', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services, { PUBLIC_URL: 'https://api.example.com' });
  const { keys } = services.addTenant();
  for (const path of ['/v1/messages', '/healthz', '/docs', '/inbox', '/nothing']) {
    const { headers } = await gateway.call('GET', path, { key: keys.full });
    assert.equal(headers['x-frame-options'], 'DENY', path);
    assert.equal(headers['referrer-policy'], 'no-referrer', path);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/, path);
    assert.equal(headers['strict-transport-security'], 'max-age=31536000', path);
    assert.equal(headers['access-control-allow-origin'], undefined, path);
    assert.equal(headers.etag, undefined, path);
    assert.equal(headers.server, undefined, path);
  }
});

test('every request has an id of its own, which the services get too', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const ids = new Set<unknown>();
  for (let count = 0; count < 5; count++) {
    const { headers } = await gateway.call('GET', '/v1/messages', { key: keys.full, headers: { 'x-request-id': 'mine' } });
    ids.add(headers['x-request-id']);
    assert.equal(services.asked.at(-1)?.requestId, headers['x-request-id']);
  }
  assert.equal(ids.size, 5);
});

test('stopping lets running requests finish, ends waits, and takes no new connections', async () => {
  await using services = await FakeServices.start();
  const gateway = await startGateway(services);
  const { keys } = services.addTenant();
  const release = Promise.withResolvers<void>();
  services.instead('cancelMessage', async () => {
    await release.promise;
    throw new Error('an answer all the same');
  });
  services.instead(
    'listCapturedMail',
    (_request, call) => new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(new Error('aborted')))),
  );
  const { messageId } = services.addTenant();
  const running = gateway.call('DELETE', `/v1/messages/${messageId}`, { key: keys.full, expectFailure: true });
  const waiting = gateway.call('GET', '/v1/test/inbox?wait=60', { key: keys.full, expectFailure: true });
  await waitFor(() => services.requestsOf('cancelMessage').length + services.requestsOf('listCapturedMail').length === 2, {
    what: 'both requests to be under way',
  });
  const stopped = gateway[Symbol.asyncDispose]();
  const ended = await waiting;
  assert.equal(ended.status, 503);
  assert.equal(ended.headers.connection, 'close');
  await assert.rejects(fetch(`${gateway.url}/readyz`));
  release.resolve();
  assert.equal((await running).status, 500);
  await stopped;
});

test('stopping does not wait for a connection that was opened ahead of need', async () => {
  await using services = await FakeServices.start();
  const gateway = await startGateway(services);
  const { hostname, port } = new URL(gateway.url);
  const unused = connect(Number(port), hostname);
  await once(unused, 'connect');
  // Taken by then: connections are taken in their order.
  assert.equal((await gateway.call('GET', '/readyz')).status, 200);
  const closed = once(unused, 'close');
  const startedAtMs = performance.now();
  await gateway[Symbol.asyncDispose]();
  await closed;
  assert.ok(performance.now() - startedAtMs < 15_000);
});

test('plain http on an address that others can reach needs a word', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) checkConfig(loadSettings(settings, { ...required, HTTP_HOST: host }));
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'gateway.internal', '127.example.com']) {
    const config = loadSettings(settings, { ...required, HTTP_HOST: host });
    assert.throws(
      () => checkConfig(config),
      (error) => error instanceof SettingsError && error.problems[0]?.name === 'ALLOW_PLAIN_HTTP',
      host,
    );
    checkConfig({ ...config, allowPlainHttp: true });
  }
});

for (const setting of Object.values(settings)) {
  test(`${setting.name}: every bad value is refused by its name`, () => {
    assert.ok(setting.badExamples.length > 0);
    for (const value of setting.badExamples) {
      assert.throws(
        () => loadSettings(settings, { ...required, [setting.name]: value }),
        (error) => error instanceof SettingsError && error.problems.length === 1 && error.problems[0]?.name === setting.name,
        JSON.stringify(value),
      );
    }
  });
}

test('a port in use is said with what to do', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await assert.rejects(startGateway(services, { HTTP_PORT: new URL(gateway.url).port }), /HTTP_PORT.*in use/);
});

test('importing the service opens nothing', async () => {
  const { execFile } = await import('node:child_process');
  const script = `const before = process.getActiveResourcesInfo().length; await import(${JSON.stringify(new URL('../src/service.ts', import.meta.url).href)}); process.stdout.write(JSON.stringify(process.getActiveResourcesInfo().filter((kind) => !/^(PipeWrap|TTYWrap|FSReqPromise|CloseReq)$/.test(kind))));`;
  const output = await new Promise<string>((resolve, reject) =>
    execFile(process.execPath, ['--input-type=module', '--eval', script], { env: {} }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    ),
  );
  assert.equal(output, '[]');
});
