// The same request with the same idempotency key gets the same key again, and only from a sealed record.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CreateApiKeyRequest, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { idToUuid } from '@maildoot/runtime/ids';
import { newTenant, type RunningAuth, startAuth } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const hash = (text: string) => createHash('sha256').update(text).digest();
const request = (idempotencyKey: string, fields: Partial<CreateApiKeyRequest> = {}) =>
  CreateApiKeyRequest.fromPartial({
    name: 'ci',
    scope: Scope.SCOPE_SEND,
    callerScope: Scope.SCOPE_FULL,
    idempotencyKey,
    requestSha256: hash('body'),
    ...fields,
  });
const keysOf = async (tenantId: string) => (await auth.gateway.listApiKeys({ limit: 100, afterId: '' }, { tenantId })).apiKeys.length;

test('a repeated request gets the first answer, the key included, and makes no second one', async () => {
  const { tenantId } = await newTenant(auth);
  const first = await auth.gateway.createApiKey(request('once'), { tenantId });
  const again = await auth.gateway.createApiKey(request('once'), { tenantId });
  assert.equal(first.replayed, false);
  assert.deepEqual(again, { ...first, replayed: true });
  assert.equal(await keysOf(tenantId), 2);
});

test('the same key of the request with another body is refused', async () => {
  const { tenantId } = await newTenant(auth);
  await auth.gateway.createApiKey(request('once'), { tenantId });
  await assert.rejects(auth.gateway.createApiKey(request('once', { requestSha256: hash('other') }), { tenantId }), {
    code: 'IDEMPOTENCY_MISMATCH',
  });
});

test('the answer is not shown again to a key that may not make that one, nor after the expiry has passed to another', async () => {
  await using own = await startAuth();
  const { tenantId } = await newTenant(own);
  const expiresAt = new Date(own.clock.now().getTime() + 60_000);
  const wide = request('once', { expiresAt });
  const limits = { allowedIps: [], allowedDomains: [], expiresAt: undefined, dailyLimit: 0, test: false };
  await own.gateway.createApiKey(wide, { tenantId });
  for (const narrower of [{ test: true }, { allowedIps: ['192.0.2.0/24'] }, { allowedDomains: ['shop.example'] }])
    await assert.rejects(own.gateway.createApiKey({ ...wide, callerLimits: { ...limits, ...narrower } }, { tenantId }), {
      code: 'INSUFFICIENT_SCOPE',
    });
  await own.clock.advance(120_000);
  assert.equal((await own.gateway.createApiKey({ ...wide, callerLimits: limits }, { tenantId })).replayed, true);
});

test('tenants do not share idempotency keys', async () => {
  const [one, two] = [await newTenant(auth), await newTenant(auth)];
  const first = await auth.gateway.createApiKey(request('once'), { tenantId: one.tenantId });
  const second = await auth.gateway.createApiKey(request('once'), { tenantId: two.tenantId });
  assert.equal(second.replayed, false);
  assert.notEqual(first.key, second.key);
});

test('at the same time: one key is made, everybody else gets the same or is asked to wait', async () => {
  const { tenantId } = await newTenant(auth);
  const answers = await Promise.allSettled(Array.from({ length: 8 }, () => auth.gateway.createApiKey(request('race'), { tenantId })));
  const keys = answers.filter((answer) => answer.status === 'fulfilled').map((answer) => answer.value.key);
  assert.ok(keys.length >= 1);
  assert.equal(new Set(keys).size, 1);
  for (const answer of answers) if (answer.status === 'rejected') assert.equal(answer.reason.code, 'IDEMPOTENCY_IN_PROGRESS');
  assert.equal(await keysOf(tenantId), 2);
});

test('a request that was refused leaves its idempotency key free', async () => {
  const { tenantId } = await newTenant(auth);
  await assert.rejects(auth.gateway.createApiKey(request('free', { name: '' }), { tenantId }), { code: 'VALIDATION_ERROR' });
  assert.equal((await auth.gateway.createApiKey(request('free'), { tenantId })).replayed, false);
});

test('an answer is repeated also when the request would not pass any more', async () => {
  const { tenantId } = await newTenant(auth);
  const expiring = request('expiring', { expiresAt: new Date(auth.clock.now().getTime() + 1000) });
  const first = await auth.gateway.createApiKey(expiring, { tenantId });
  await auth.clock.advance(2000);
  assert.equal((await auth.gateway.createApiKey(expiring, { tenantId })).key, first.key);
});

test('an answer is forgotten after a day', async () => {
  const { tenantId } = await newTenant(auth);
  await auth.gateway.createApiKey(request('day'), { tenantId });
  await auth.clock.advance(24 * 60 * 60 * 1000);
  assert.equal((await auth.gateway.createApiKey(request('day'), { tenantId })).replayed, false);
});

test("a sealed answer copied into another tenant's record, or under another key, does not open", async () => {
  const [victim, thief] = [await newTenant(auth), await newTenant(auth)];
  await auth.gateway.createApiKey(request('mine'), { tenantId: victim.tenantId });
  for (const [tenantId, key] of [
    [thief.tenantId, 'mine'],
    [victim.tenantId, 'another'],
  ] as const) {
    await auth.database.query(
      `INSERT INTO idempotency_record (tenant_id, operation, key, request_hash, response, created_at, expires_at)
       SELECT $1, operation, $2, request_hash, response, created_at, expires_at FROM idempotency_record WHERE tenant_id = $3 AND key = 'mine'`,
      [idToUuid('ten', tenantId), key, idToUuid('ten', victim.tenantId)],
    );
    await assert.rejects(auth.gateway.createApiKey(request(key), { tenantId }), { code: 'INTERNAL_ERROR' });
  }
});

test('an idempotency key that cannot be one is named', async () => {
  const { tenantId } = await newTenant(auth);
  for (const key of ['x'.repeat(256), 'a\u0000b', 'a\nb']) {
    await assert.rejects(auth.gateway.createApiKey(request(key), { tenantId }), { code: 'VALIDATION_ERROR' });
  }
});
