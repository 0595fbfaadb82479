// Keys at the real gateway: what it costs auth, how fast a revocation works, and what happens while auth is away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices, Scope, startGateway } from './harness.ts';

test('many requests with one key ask auth once', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  await Promise.all(Array.from({ length: 20 }, () => gateway.call('GET', '/v1/messages', { key: keys.full })));
  assert.equal(services.requestsOf('authenticate').length, 1);
});

test('a revoked key stops within 5 s', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { keys } = services.addTenant();
  assert.equal((await gateway.call('GET', '/v1/messages', { key: keys.full })).status, 200);
  services.revoke(keys.full);
  const revokedAt = performance.now();
  await waitFor(async () => (await gateway.call('GET', '/v1/messages', { key: keys.full })).code === 'INVALID_TOKEN', {
    what: 'the key to stop',
    intervalMs: 100,
  });
  assert.ok(performance.now() - revokedAt < 5000);
});

test('while auth is away a known key works on for a moment, then 503; when it is back, so are the keys', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
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
  assert.ok(performance.now() - lastCheckAt < 6000);
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
