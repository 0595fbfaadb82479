// Keys at the real gateway: what it costs auth, how fast a revocation works, and what happens while auth is away.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type AuthenticateRequest, CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

/** When its stream of revocations is open and the first frame, which makes it forget what it knows, has been taken in. */
async function listens(services: FakeServices, gateway: Gateway): Promise<void> {
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  // Behind the frame on the same connection.
  const { keys } = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
}

const questionsAbout = (services: FakeServices, key: string): number => {
  const hash = createHash('sha256').update(key).digest('hex');
  return services.requestsOf<AuthenticateRequest>('authenticate').filter(({ keySha256 }) => keySha256.toString('hex') === hash).length;
};

test('many requests with one key ask auth once', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  const { keys } = services.addTenant();
  await Promise.all(Array.from({ length: 20 }, () => gateway.call('GET', '/v1/messages', { key: keys.full })));
  assert.equal(questionsAbout(services, keys.full), 1);
});

test('a revoked key that we are told of stops at once, and auth isn’t asked', async (t) => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  const tenant = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: tenant.keys.full })).status, 200);
  services.revoke(tenant.keys.full);
  services.tellRevoked(tenant.keys.full);
  const toldAt = performance.now();
  await waitFor(async () => (await gateway.call('GET', '/v1/messages', { key: tenant.keys.full })).code === 'INVALID_TOKEN', {
    what: 'the key to stop',
    intervalMs: 1,
  });
  t.diagnostic(`stopped after ${Math.round(performance.now() - toldAt)} ms`);
  assert.equal(questionsAbout(services, tenant.keys.full), 1);
});

test('a key revoked while its check is on the way stops too', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  const { keys, id } = services.addTenant();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const principal = {
    tenantId: id,
    apiKeyId: 'key_1',
    scope: Scope.SCOPE_FULL,
    allowedIps: [],
    allowedDomains: [],
    expiresAt: undefined,
    kind: CredentialKind.CREDENTIAL_KIND_API_KEY,
    userId: '',
    role: Role.ROLE_UNSPECIFIED,
    suspended: false,
    dailyLimit: 0,
  };
  services.instead('authenticate', async () => {
    asked.resolve();
    await answer.promise;
    return { principal };
  });
  const request = gateway.call('GET', '/v1/messages', { key: keys.full });
  await asked.promise;
  services.tellRevoked(keys.full);
  // A round trip behind the frame, with a key that is known.
  services.instead('authenticate');
  const { keys: others } = services.addTenant();
  await gateway.call('GET', '/v1/messages', { key: others.full });
  answer.resolve();
  assert.equal((await request).code, 'INVALID_TOKEN');
});

test('a key that is revoked while nobody can tell us stops when the stream is back, for all is asked again', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  let quickestMs = Number.POSITIVE_INFINITY;
  // The quickest of some: a busy machine is slow at times, the 3 s are there always.
  for (let tries = 0; tries < 5 && quickestMs >= 2500; tries++) {
    const { keys } = services.addTenant();
    assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
    services.endWatches();
    services.revoke(keys.full);
    const revokedAt = performance.now();
    await waitFor(async () => (await gateway.call('GET', '/v1/messages', { key: keys.full })).code === 'INVALID_TOKEN', {
      what: 'the key to stop',
      intervalMs: 10,
    });
    quickestMs = Math.min(quickestMs, performance.now() - revokedAt);
  }
  assert.ok(quickestMs < 2500, `${quickestMs} ms are not sooner than by the 3 s`);
  assert.equal(services.watching, 1);
});

test('a revoked key that nobody tells us of stops by itself', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  const { keys } = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
  services.revoke(keys.full);
  const revokedAt = performance.now();
  await waitFor(async () => (await gateway.call('GET', '/v1/messages', { key: keys.full })).code === 'INVALID_TOKEN', {
    what: 'the key to stop',
    intervalMs: 50,
  });
  const stoppedAfterMs = performance.now() - revokedAt;
  // The 3 s themselves are held against a clock in src/authentication.test.ts.
  assert.ok(stoppedAfterMs < 10_000, `stopped after ${stoppedAfterMs} ms`);
});

test('while auth is away a known key works on for a moment, then 503; when it is back, so are the keys', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  await listens(services, gateway);
  const { keys } = services.addTenant();
  const ask = () => gateway.call('GET', '/v1/messages', { key: keys.full, expectFailure: true });
  const lastCheckAt = performance.now();
  await ask();
  await services.down('auth');
  assert.equal((await ask()).status, 200);
  const closed = await waitFor(
    async () => {
      const response = await ask();
      return response.status === 503 ? response : undefined;
    },
    { what: 'the gateway to fail closed', intervalMs: 100 },
  );
  assert.equal(closed.code, 'UNAVAILABLE');
  assert.ok(closed.headers['retry-after']);
  assert.ok(performance.now() - lastCheckAt < 15_000);
  await services.up('auth');
  await waitFor(async () => (await ask()).status === 200, { what: 'the key to work again', intervalMs: 50 });
});

test('the address that counts is the socket’s, unless a proxy is trusted', async () => {
  await using services = await FakeServices.start();
  await using direct = await startGateway(services);
  await using behindProxy = await startGateway(services, { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' });
  const tenant = services.addTenant();
  const key = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_FULL, allowedIps: ['198.51.100.0/24'] });
  const headers = { 'x-forwarded-for': '198.51.100.9, 10.1.1.1' };
  assert.equal((await direct.call('GET', '/v1/messages', { key, headers })).code, 'INVALID_TOKEN');
  assert.equal((await behindProxy.call('GET', '/v1/messages', { key, headers })).status, 200);
  assert.equal((await behindProxy.call('GET', '/v1/messages', { key })).code, 'INVALID_TOKEN');
});
