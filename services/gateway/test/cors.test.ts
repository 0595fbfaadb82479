// Pages of other origins: those that the operator names may read answers; for all others nothing is different.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { settings } from '../src/config.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type CallOptions, type Gateway, type Response, send, startGateway } from './running-gateway.ts';

const app = 'https://app.example.com';

let services: FakeServices;
let gateway: Gateway;
let closed: Gateway;
let tenant: KnownTenant;
before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, { CORS_ORIGINS: `http://localhost:3000,${app}` });
  closed = await startGateway(services);
  tenant = services.addTenant();
});
after(async () => {
  await closed[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

const corsOf = ({ headers }: Response): string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-') || name === 'vary');
const ask = (method: string, path: string, { headers, ...more }: CallOptions = {}, of = gateway): Promise<Response> =>
  send(of.url, method, path, { key: tenant.keys.full, ...more, headers: { origin: app, ...headers } });
const preflight = {
  key: undefined,
  headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
};

test('a page of a named origin may read every answer, refusals too', async () => {
  for (const [method, path, key, status] of [
    ['GET', '/v1/messages', tenant.keys.full, 200],
    ['HEAD', '/v1/messages', tenant.keys.full, 200],
    ['GET', '/v1/messages', undefined, 401],
    ['GET', '/v1/nothing', tenant.keys.full, 404],
    ['PUT', '/v1/messages', tenant.keys.full, 405],
  ] as const) {
    const { headers, ...answer } = await ask(method, path, { key });
    assert.equal(answer.status, status);
    assert.equal(headers['access-control-allow-origin'], app);
    assert.equal(headers['access-control-allow-credentials'], 'true');
    assert.equal(headers.vary, 'Origin');
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    for (const name of ['X-Request-Id', 'Retry-After', 'Idempotent-Replayed', 'RateLimit', 'RateLimit-Reset', 'Sunset', 'Link', 'Location'])
      assert.ok(exposed.includes(name), name);
  }
});

test('a browser that asks before is told the methods and headers, without a credential', async () => {
  const { status, headers, text } = await ask('OPTIONS', `/v1/messages/${tenant.messageId}`, preflight);
  assert.deepEqual([status, text], [204, '']);
  assert.equal(headers['access-control-allow-origin'], app);
  assert.equal(headers['access-control-allow-methods'], 'GET, HEAD, PATCH, DELETE');
  assert.equal(headers['access-control-allow-headers'], 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID');
  assert.equal((await ask('OPTIONS', '/v1/nothing', preflight)).status, 404);
  assert.equal((await ask('OPTIONS', '/v1/messages', { key: undefined })).status, 405, 'no question of a browser');
});

test('for other origins, and where none is named, all is as it was', async () => {
  for (const origin of ['https://evil.example', 'https://app.example.com.evil.example', 'http://app.example.com', 'null', '*']) {
    const answer = await ask('GET', '/v1/messages', { headers: { origin } });
    assert.equal(answer.status, 200);
    assert.deepEqual(corsOf(answer), [], origin);
    const refused = await ask('OPTIONS', '/v1/messages', { ...preflight, headers: { ...preflight.headers, origin } });
    assert.equal(refused.status, 405);
    assert.deepEqual(corsOf(refused), [], origin);
  }
  assert.deepEqual(corsOf(await ask('GET', '/v1/messages', {}, closed)), []);
  assert.equal((await ask('OPTIONS', '/v1/messages', preflight, closed)).status, 405);
});

test('what is no origin is refused at the start', () => {
  for (const wrong of ['*', 'app.example.com', 'https://app.example.com/', 'https://*.example.com', 'null', 'ftp://x.example'])
    assert.throws(
      () => loadSettings({ corsOrigins: settings.corsOrigins }, { CORS_ORIGINS: wrong }),
      (error) => error instanceof SettingsError && error.problems[0]?.name === 'CORS_ORIGINS',
      wrong,
    );
});
