// Keys from making to revoking, through the real service on a real database.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CreateApiKeyRequest, CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { newTenant, type RunningAuth, startAuth } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const sha256 = (text: string) => createHash('sha256').update(text).digest();
const request = (fields: Partial<CreateApiKeyRequest>) =>
  CreateApiKeyRequest.fromPartial({ name: 'ci', scope: Scope.SCOPE_SEND, callerScope: Scope.SCOPE_FULL, ...fields });
const authenticate = (key: string) => auth.gateway.authenticate({ keySha256: sha256(key), address: '' });

test('a key authenticates as what it was made to be', async () => {
  const { tenantId } = await newTenant(auth);
  const expiresAt = new Date(auth.clock.now().getTime() + 40 * 86_400_000);
  const { apiKey, key } = await auth.gateway.createApiKey(
    request({ allowedIps: ['198.51.100.7'], allowedDomains: ['Bücher.Example'], expiresAt }),
    { tenantId },
  );
  assert.match(key, /^mdsk_[0-9A-Za-z]{43}$/);
  assert.equal(apiKey?.prefix, key.slice(0, 9));
  assert.deepEqual(apiKey?.createdAt, auth.clock.now());
  assert.deepEqual((await authenticate(key)).principal, {
    tenantId,
    apiKeyId: apiKey?.id,
    scope: Scope.SCOPE_SEND,
    allowedIps: ['198.51.100.7/32'],
    allowedDomains: ['xn--bcher-kva.example'],
    expiresAt,
    kind: CredentialKind.CREDENTIAL_KIND_API_KEY,
    userId: '',
    role: Role.ROLE_UNSPECIFIED,
    suspended: false,
    dailyLimit: 0,
  });
});

test('unknown, revoked and expired credentials answer alike', async () => {
  const { tenantId } = await newTenant(auth);
  const soon = new Date(auth.clock.now().getTime() + 1000);
  const expiring = await auth.gateway.createApiKey(request({ expiresAt: soon }), { tenantId });
  const revoked = await auth.gateway.createApiKey(request({}), { tenantId });
  await authenticate(expiring.key);
  await authenticate(revoked.key);

  await auth.clock.advance(1000);
  await auth.gateway.revokeApiKey(
    {
      id: revoked.apiKey?.id ?? '',
      callerScope: Scope.SCOPE_FULL,
      callerLimits: undefined,
      actorId: 'key_1',
      callerRole: Role.ROLE_UNSPECIFIED,
    },
    { tenantId },
  );
  const answers = await Promise.all(
    [sha256('mdsk_never'), sha256(expiring.key), sha256(revoked.key), Buffer.alloc(0), Buffer.alloc(64)].map((keySha256) =>
      auth.gateway.authenticate({ keySha256, address: '' }).then(
        () => assert.fail('it authenticated'),
        (error: { code: string; status: string; detail: unknown }) => ({ code: error.code, status: error.status, detail: error.detail }),
      ),
    ),
  );
  assert.equal(answers[0]?.code, 'INVALID_TOKEN');
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
});

test('lists show everything but the key, newest first, page by page', async () => {
  const { tenantId, apiKey: first } = await newTenant(auth);
  for (const name of ['a', 'b', 'c']) await auth.gateway.createApiKey(request({ name }), { tenantId });

  const page = await auth.gateway.listApiKeys({ limit: 2, afterId: '' }, { tenantId });
  assert.deepEqual([page.apiKeys.map((key) => key.name), page.hasMore], [['c', 'b'], true]);
  // A key made or revoked in between moves nothing: the cursor is a position, not a count.
  await auth.gateway.createApiKey(request({ name: 'later' }), { tenantId });
  const cursor = page.apiKeys[1]?.id ?? '';
  await auth.gateway.revokeApiKey(
    { id: cursor, callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
    { tenantId },
  );
  const next = await auth.gateway.listApiKeys({ limit: 2, afterId: cursor }, { tenantId });
  assert.deepEqual([next.apiKeys.map((key) => key.name), next.hasMore], [['a', 'First key'], false]);
  assert.equal(next.apiKeys[1]?.id, first?.id);

  const all = await auth.gateway.listApiKeys({ limit: 0, afterId: '' }, { tenantId });
  assert.deepEqual(
    all.apiKeys.map((key) => key.name),
    ['later', 'c', 'a', 'First key'],
  );
  await assert.rejects(auth.gateway.listApiKeys({ limit: 2, afterId: 'key_1' }, { tenantId }), { code: 'VALIDATION_ERROR' });
});

test("another tenant's key answers as one that never was", async () => {
  const [ours, theirs] = [await newTenant(auth), await newTenant(auth)];
  const theirId = theirs.apiKey?.id ?? '';
  const answers = [];
  for (const id of [theirId, newId('key'), 'key_nonsense', ours.tenantId, '']) {
    const error = await auth.gateway
      .revokeApiKey(
        { id, callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
        { tenantId: ours.tenantId },
      )
      .then(
        () => assert.fail(`${id} was revoked`),
        (failure: { code: string; status: string; detail: unknown }) => failure,
      );
    answers.push({ code: error.code, status: error.status, detail: error.detail });
  }
  assert.equal(answers[0]?.code, 'NOT_FOUND');
  for (const answer of answers) assert.deepEqual(answer, answers[0]);

  const listed = await auth.gateway.listApiKeys({ limit: 100, afterId: '' }, { tenantId: ours.tenantId });
  assert.deepEqual(
    listed.apiKeys.map((key) => key.id),
    [ours.apiKey?.id],
  );
  // Also when the foreign id serves as a cursor.
  const behind = await auth.gateway.listApiKeys({ limit: 100, afterId: theirId }, { tenantId: ours.tenantId });
  assert.ok(behind.apiKeys.every((key) => key.id === ours.apiKey?.id));
  await authenticate(theirs.key);
});

test('a revoked key is gone from the list and cannot be revoked again', async () => {
  const { tenantId, apiKey } = await newTenant(auth);
  const revoke = () =>
    auth.gateway.revokeApiKey(
      { id: apiKey?.id ?? '', callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
      { tenantId },
    );
  await revoke();
  assert.deepEqual((await auth.gateway.listApiKeys({ limit: 10, afterId: '' }, { tenantId })).apiKeys, []);
  await assert.rejects(revoke(), { code: 'NOT_FOUND' });
});

test('nobody makes or revokes a key with less than a full one', async () => {
  const { tenantId, apiKey } = await newTenant(auth);
  for (const callerScope of [Scope.SCOPE_SEND, Scope.SCOPE_READ, Scope.SCOPE_UNSPECIFIED]) {
    for (const scope of [Scope.SCOPE_FULL, Scope.SCOPE_SEND, Scope.SCOPE_READ, Scope.SCOPE_UNSPECIFIED]) {
      await assert.rejects(auth.gateway.createApiKey(request({ scope, callerScope }), { tenantId }), { code: 'INSUFFICIENT_SCOPE' });
    }
    // The same answer whether the key exists or not: a narrow key learns nothing.
    for (const id of [apiKey?.id ?? '', newId('key')]) {
      await assert.rejects(
        auth.gateway.revokeApiKey(
          { id, callerScope, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
          { tenantId },
        ),
        {
          code: 'INSUFFICIENT_SCOPE',
        },
      );
    }
  }
  for (const scope of [Scope.SCOPE_FULL, Scope.SCOPE_SEND, Scope.SCOPE_READ]) {
    const { apiKey: made } = await auth.gateway.createApiKey(request({ scope }), { tenantId });
    await auth.gateway.revokeApiKey(
      { id: made?.id ?? '', callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
      { tenantId },
    );
  }
});

test('all problems of a request are told at once', async () => {
  const { tenantId } = await newTenant(auth);
  await assert.rejects(
    auth.gateway.createApiKey(request({ name: '', allowedIps: ['10.0.0.1/8'], allowedDomains: ['-'] }), { tenantId }),
    (error: { code: string; detail: { issues: { path: string }[] } }) => {
      assert.equal(error.code, 'VALIDATION_ERROR');
      assert.deepEqual(
        error.detail.issues.map((issue) => issue.path),
        ['name', 'allowed_ips[0]', 'allowed_domains[0]'],
      );
      return true;
    },
  );
});

test('last use is kept to the minute, and written once a minute', async () => {
  const { tenantId, key, apiKey } = await newTenant(auth);
  const lastUsed = async () => (await auth.gateway.listApiKeys({ limit: 1, afterId: '' }, { tenantId })).apiKeys[0]?.lastUsedAt;
  const rowVersion = async () =>
    (await auth.database.query('SELECT xmin::text FROM api_key WHERE sha256 = $1', [sha256(key)])).rows[0]?.xmin as string;
  assert.equal(await lastUsed(), undefined);

  await authenticate(key);
  const minute = new Date(Math.floor(auth.clock.now().getTime() / 60_000) * 60_000);
  assert.deepEqual(await waitFor(lastUsed, { what: 'the time of last use' }), minute);
  const version = await rowVersion();

  // The same minute again: another key's write, which comes after, proves that this one didn't happen.
  await authenticate(key);
  const other = await newTenant(auth);
  await authenticate(other.key);
  await waitFor(
    async () => (await auth.gateway.listApiKeys({ limit: 1, afterId: '' }, { tenantId: other.tenantId })).apiKeys[0]?.lastUsedAt,
    {
      what: "the other key's time of last use",
    },
  );
  assert.equal(await rowVersion(), version);

  await auth.clock.advance(60_000);
  await authenticate(key);
  await waitFor(async () => (await lastUsed())?.getTime() === minute.getTime() + 60_000, { what: 'the next minute' });
  assert.ok(apiKey);
});

test('the allow-lists: only the gateway asks, only the operator makes tenants', async () => {
  const { tenantId } = await newTenant(auth);
  const refused = { code: 'CALLER_NOT_ALLOWED' };
  await assert.rejects(auth.stranger.authenticate({ keySha256: sha256('x'), address: '' }), refused);
  await assert.rejects(auth.stranger.createApiKey(request({}), { tenantId }), refused);
  await assert.rejects(auth.stranger.listApiKeys({ limit: 1, afterId: '' }, { tenantId }), refused);
  await assert.rejects(
    auth.stranger.revokeApiKey(
      { id: '', callerScope: Scope.SCOPE_FULL, callerLimits: undefined, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
      { tenantId },
    ),
    refused,
  );
  await assert.rejects(auth.gateway.createTenant({ name: 'x', email: 'x@example.com' }), refused);
});

test('a call without a tenant is refused, not answered for everybody', async () => {
  await assert.rejects(auth.gateway.listApiKeys({ limit: 10, afterId: '' }), { code: 'INTERNAL_ERROR' });
});

test('a limited key neither makes nor revokes one with wider limits', async () => {
  const { tenantId } = await newTenant(auth);
  const expiresAt = new Date(auth.clock.now().getTime() + 3_600_000);
  const callerLimits = { allowedIps: ['198.51.100.0/24'], allowedDomains: ['shop.example'], expiresAt, dailyLimit: 0, test: false };
  const within = { allowedIps: ['198.51.100.7'], allowedDomains: ['shop.example'], expiresAt };
  for (const wider of [
    { allowedIps: [] },
    { allowedIps: ['0.0.0.0/0'] },
    { allowedDomains: [] },
    { allowedDomains: ['other.example'] },
    { expiresAt: undefined },
  ]) {
    await assert.rejects(auth.gateway.createApiKey(request({ ...within, ...wider, callerLimits }), { tenantId }), {
      code: 'INSUFFICIENT_SCOPE',
    });
  }
  const { apiKey: own } = await auth.gateway.createApiKey(request({ ...within, callerLimits }), { tenantId });
  const { apiKey: wide } = await auth.gateway.createApiKey(request({}), { tenantId });
  const revoke = (id: string) =>
    auth.gateway.revokeApiKey(
      { id, callerScope: Scope.SCOPE_FULL, callerLimits, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
      { tenantId },
    );
  await assert.rejects(revoke(wide?.id ?? ''), { code: 'INSUFFICIENT_SCOPE' });
  await revoke(own?.id ?? '');
});
