// Suspension, quotas, ledgers, the audit log, and keys of other kinds, through the real service on a real database.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CreateApiKeyRequest, CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { Ledger, Take } from '@maildoot/proto/maildoot/auth/v1/quota';
import { InviteMemberRequest } from '@maildoot/proto/maildoot/auth/v1/team';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { login, newTenant, origin, type RunningAuth, startAuth, tenantWithOwner } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const principalOf = async (key: string) =>
  (await auth.gateway.authenticate({ keySha256: createHash('sha256').update(key).digest(), address: '203.0.113.1' })).principal;
const makeKey = (tenantId: string, fields: Partial<CreateApiKeyRequest>) =>
  auth.gateway.createApiKey(
    CreateApiKeyRequest.fromPartial({ name: 'ci', scope: Scope.SCOPE_SEND, callerScope: Scope.SCOPE_FULL, actorId: 'key_1', ...fields }),
    { tenantId },
  );
const take = async (fields: Partial<Take>) => {
  const [taken] = (await auth.gateway.takeQuota({ takes: [Take.fromPartial(fields)] })).taken;
  if (!taken) throw new Error('nothing was taken');
  return taken;
};
const actions = async (tenantId: string) =>
  (await auth.gateway.listAuditEntries({ limit: 100, afterId: '', action: '' }, { tenantId })).entries.map(({ action, detail }) => [
    action,
    detail,
  ]);

test('a suspended tenant’s credentials say so, until it is released', async () => {
  const { tenantId, key, email } = await tenantWithOwner(auth);
  const { sessionId } = await login(auth, email);
  const suspended = async () => [
    (await principalOf(key))?.suspended,
    (await auth.gateway.authenticateSession({ sessionId })).principal?.suspended,
  ];
  const isListed = async () => (await auth.stranger.listSuspendedTenants({})).tenantIds.includes(tenantId);
  assert.deepEqual([await suspended(), await isListed()], [[false, false], false]);
  const { tenant } = await auth.operator.suspendTenant({ tenantId, reason: 'spam' });
  assert.equal(tenant?.suspensionReason, 'spam');
  assert.deepEqual([await suspended(), await isListed()], [[true, true], true]);
  await auth.operator.releaseTenant({ tenantId });
  assert.deepEqual([await suspended(), await isListed()], [[false, false], false]);
  assert.deepEqual((await actions(tenantId)).slice(0, 2), [
    ['tenant.released', ''],
    ['tenant.suspended', 'spam'],
  ]);
  for (const id of [newId('ten'), 'ten_nonsense'])
    await assert.rejects(auth.operator.suspendTenant({ tenantId: id, reason: '' }), { code: 'NOT_FOUND' });
  await assert.rejects(auth.gateway.suspendTenant({ tenantId, reason: '' }), { code: 'CALLER_NOT_ALLOWED' });
  await assert.rejects(auth.gateway.listSuspendedTenants({}), { code: 'CALLER_NOT_ALLOWED' });
});

test('tenants are listed page by page, newest first', async () => {
  const [one, two] = [await newTenant(auth), await newTenant(auth)];
  const page = await auth.operator.listTenants({ limit: 1, afterId: '' });
  assert.deepEqual([page.tenants.map(({ id }) => id), page.hasMore], [[two.tenantId], true]);
  const next = await auth.operator.listTenants({ limit: 1, afterId: two.tenantId });
  assert.equal(next.tenants[0]?.id, one.tenantId);
  assert.match(next.tenants[0]?.ownerEmail ?? '', /^owner\d+@example\.com$/);
});

test('a ledger gives what is needed or nothing, a part of the rest, and takes back', async () => {
  const { tenantId } = await newTenant(auth);
  const of = { ledger: Ledger.LEDGER_TENANT_MESSAGES, tenantId };
  assert.deepEqual((await take({ ...of, needed: 5 })).limit, 0n, 'without a quota nothing is counted');
  await auth.operator.setQuotas({ tenantId, quotas: { messagesPerDay: 100n, requestsPerMinute: 0, sendsPerMinute: 0 } });
  const first = await take({ ...of, needed: 10, wanted: 50 });
  assert.deepEqual([first.granted, first.limit, first.remaining, first.windowS], [14, 100n, 86n, 86_400]);
  assert.equal((await take({ ...of, needed: 87 })).granted, 0);
  assert.equal((await take({ ...of, needed: 86 })).remaining, 0n);
  assert.equal((await take({ ...of, wanted: 10 })).granted, 0);
  const back = await take({ ...of, returned: 40, returnedWindowS: first.windowStartS });
  assert.equal(back.remaining, 40n);
  // Of another day there is nothing to give back.
  assert.equal((await take({ ...of, returned: 40, returnedWindowS: first.windowStartS - 86_400n })).remaining, 40n);
  await auth.clock.advance(86_400_000);
  assert.equal((await take({ ...of, needed: 100 })).remaining, 0n);
});

test('a hundred that take at the same moment never get more than there is', async () => {
  const { tenantId } = await newTenant(auth);
  await auth.operator.setQuotas({ tenantId, quotas: { messagesPerDay: 37n, requestsPerMinute: 0, sendsPerMinute: 0 } });
  const taken = await Promise.all(
    Array.from({ length: 100 }, () => take({ ledger: Ledger.LEDGER_TENANT_MESSAGES, tenantId, needed: 1, wanted: 8 })),
  );
  assert.equal(
    taken.reduce((sum, { granted }) => sum + granted, 0),
    37,
  );
});

test('ledgers of a minute have a default that the operator can change; a credential’s stands apart', async () => {
  const { tenantId } = await newTenant(auth);
  assert.equal((await take({ ledger: Ledger.LEDGER_REQUESTS, tenantId, needed: 1 })).limit, 120_000n);
  await auth.operator.setQuotas({ tenantId, quotas: { messagesPerDay: 0n, requestsPerMinute: 2, sendsPerMinute: 3 } });
  assert.equal((await take({ ledger: Ledger.LEDGER_REQUESTS, tenantId, needed: 1 })).remaining, 0n);
  assert.equal((await take({ ledger: Ledger.LEDGER_SENDS, tenantId, needed: 1 })).remaining, 2n);
  const of = { ledger: Ledger.LEDGER_CREDENTIAL_MESSAGES, tenantId, credentialLimit: 1, needed: 1 };
  const [one, two] = [newId('key'), newId('key')];
  assert.equal((await take({ ...of, credentialId: one })).granted, 1);
  assert.equal((await take({ ...of, credentialId: one })).granted, 0);
  assert.equal((await take({ ...of, credentialId: two })).granted, 1);
  await auth.clock.advance(60_000);
  assert.equal((await take({ ledger: Ledger.LEDGER_REQUESTS, tenantId, needed: 1 })).granted, 1);
});

test('a test key looks like one, is one, and makes and ends none but test keys', async () => {
  const { tenantId, apiKey } = await newTenant(auth);
  const made = await makeKey(tenantId, { test: true, scope: Scope.SCOPE_FULL, dailyLimit: 50 });
  assert.match(made.key, /^mdsk_test_[0-9A-Za-z]{43}$/);
  assert.equal(made.apiKey?.prefix, made.key.slice(0, 14));
  assert.deepEqual([made.apiKey?.test, made.apiKey?.dailyLimit], [true, 50]);
  const principal = await principalOf(made.key);
  assert.deepEqual([principal?.kind, principal?.dailyLimit], [CredentialKind.CREDENTIAL_KIND_TEST_KEY, 50]);
  const limits = { allowedIps: [], allowedDomains: [], expiresAt: undefined, dailyLimit: 0, test: true };
  await assert.rejects(makeKey(tenantId, { callerLimits: limits }), { code: 'INSUFFICIENT_SCOPE' });
  assert.ok(await makeKey(tenantId, { callerLimits: limits, test: true }));
  const revoke = (id: string) =>
    auth.gateway.revokeApiKey(
      { id, callerScope: Scope.SCOPE_FULL, callerLimits: limits, actorId: 'key_1', callerRole: Role.ROLE_UNSPECIFIED },
      { tenantId },
    );
  await assert.rejects(revoke(apiKey?.id ?? ''), { code: 'INSUFFICIENT_SCOPE' });
  await revoke(made.apiKey?.id ?? '');
});

test('a key with a daily limit makes none that would send more', async () => {
  const { tenantId } = await newTenant(auth);
  const callerLimits = { allowedIps: [], allowedDomains: [], expiresAt: undefined, dailyLimit: 10, test: false };
  for (const fields of [{ dailyLimit: 0 }, { dailyLimit: 10 }, { scope: Scope.SCOPE_FULL, dailyLimit: 1 }])
    await assert.rejects(makeKey(tenantId, { callerLimits, ...fields }), { code: 'INSUFFICIENT_SCOPE' });
  assert.ok(await makeKey(tenantId, { callerLimits, scope: Scope.SCOPE_READ, dailyLimit: 10 }));
});

test('members make and end keys, but no full ones; viewers none', async () => {
  const { tenantId, apiKey } = await newTenant(auth);
  const by = (callerRole: Role, scope: Scope) => makeKey(tenantId, { callerScope: Scope.SCOPE_UNSPECIFIED, callerRole, scope });
  assert.ok(await by(Role.ROLE_OWNER, Scope.SCOPE_FULL));
  const made = await by(Role.ROLE_MEMBER, Scope.SCOPE_SEND);
  await assert.rejects(by(Role.ROLE_MEMBER, Scope.SCOPE_FULL), { code: 'INSUFFICIENT_SCOPE' });
  for (const role of [Role.ROLE_VIEWER, Role.ROLE_OPERATOR])
    await assert.rejects(by(role, Scope.SCOPE_READ), { code: 'INSUFFICIENT_SCOPE' });
  const revoke = (id: string, callerRole: Role) =>
    auth.gateway.revokeApiKey(
      { id, callerScope: Scope.SCOPE_UNSPECIFIED, callerLimits: undefined, actorId: 'usr_1', callerRole },
      { tenantId },
    );
  await assert.rejects(revoke(apiKey?.id ?? '', Role.ROLE_MEMBER), { code: 'INSUFFICIENT_SCOPE' });
  await assert.rejects(revoke(made.apiKey?.id ?? '', Role.ROLE_VIEWER), { code: 'INSUFFICIENT_SCOPE' });
  await revoke(made.apiKey?.id ?? '', Role.ROLE_MEMBER);
  await revoke(apiKey?.id ?? '', Role.ROLE_OWNER);
});

test('the audit log has who did what, where from, and why a credential was refused; each tenant sees its own', async () => {
  const { tenantId, email, userId } = await tenantWithOwner(auth);
  const stranger = await newTenant(auth);
  const made = await makeKey(tenantId, { actorId: userId, address: '203.0.113.3' });
  const keyId = made.apiKey?.id ?? '';
  await auth.gateway.revokeApiKey(
    {
      id: keyId,
      callerScope: Scope.SCOPE_FULL,
      callerLimits: undefined,
      actorId: 'key_2',
      callerRole: Role.ROLE_UNSPECIFIED,
      address: '203.0.113.4',
    },
    { tenantId },
  );
  const { member } = await auth.gateway.inviteMember(
    InviteMemberRequest.fromPartial({ email: `audited-${email}`, role: Role.ROLE_VIEWER, actorId: 'key_2', address: '203.0.113.5' }),
    { tenantId },
  );
  await auth.gateway.removeMember({ id: member?.id ?? '', actorId: userId, address: '203.0.113.6' }, { tenantId });
  const { sessionId } = await login(auth, email);
  await auth.gateway.endSessions({ userId, sessionId, keepSessionId: '', address: '203.0.113.7' }, { tenantId });
  for (let count = 0; count < 3; count++) await assert.rejects(principalOf(made.key), { code: 'INVALID_TOKEN' });
  await auth.gateway.recordRefusals({ refusals: [{ tenantId, credentialId: keyId, address: '203.0.113.2' }] });
  await assert.rejects(login(auth, email, origin, 'not the password'), { code: 'INVALID_CREDENTIALS' });
  const read = async () => (await auth.gateway.listAuditEntries({ limit: 100, afterId: '', action: '' }, { tenantId })).entries;
  const entries = await waitFor(async () => ((await read()).some(({ action }) => action === 'login.failed') ? read() : undefined), {
    what: 'the entries',
  });
  const shown = entries.map(({ action, actorId, subjectId, address, detail }) => [action, actorId, subjectId, address, detail]);
  for (const expected of [
    ['api_key.created', userId, keyId, '203.0.113.3', 'send'],
    ['api_key.revoked', 'key_2', keyId, '203.0.113.4', ''],
    ['member.invited', 'key_2', member?.id, '203.0.113.5', 'viewer'],
    ['member.removed', userId, member?.id, '203.0.113.6', ''],
    ['session.ended', userId, sessionId, '203.0.113.7', '1'],
    ['api_key.refused', '', keyId, '203.0.113.1', 'revoked'],
    ['api_key.refused', '', keyId, '203.0.113.2', 'address_not_allowed'],
    ['login.failed', '', userId, origin.address, 'wrong_password'],
    ['password.set', userId, userId, origin.address, ''],
  ]) {
    // Once, however often it was tried.
    assert.equal(
      shown.filter((row) => JSON.stringify(row) === JSON.stringify(expected)).length,
      1,
      `${expected.join(' ')} in ${JSON.stringify(shown)}`,
    );
  }
  assert.ok(
    (await auth.gateway.listAuditEntries({ limit: 100, afterId: '', action: '' }, { tenantId: stranger.tenantId })).entries.every(
      ({ subjectId }) => subjectId !== keyId,
    ),
  );
  const only = await auth.gateway.listAuditEntries({ limit: 1, afterId: '', action: 'api_key.refused' }, { tenantId });
  assert.deepEqual([only.entries.length, only.hasMore], [1, true]);
});

test('what was done to things of others is in the log once, however often it is told; of its tenant alone, and from the gateway alone', async () => {
  const { tenantId } = await newTenant(auth);
  const stranger = await newTenant(auth);
  const action = {
    id: newId('aud'),
    tenantId,
    action: 'domain.deleted',
    actorId: 'key_1',
    subjectId: 'shop.example',
    address: '203.0.113.1',
  };
  const other = { ...action, id: newId('aud'), tenantId: stranger.tenantId };
  await auth.gateway.recordActions({ actions: [action] });
  await auth.gateway.recordActions({ actions: [action, other] });
  const entries = async (tenant: string) =>
    (await auth.gateway.listAuditEntries({ limit: 100, afterId: '', action: 'domain.deleted' }, { tenantId: tenant })).entries;
  assert.deepEqual(
    (await entries(tenantId)).map(({ id, actorId, subjectId, address }) => [id, actorId, subjectId, address]),
    [[action.id, 'key_1', 'shop.example', '203.0.113.1']],
  );
  assert.deepEqual(
    (await entries(stranger.tenantId)).map(({ id }) => id),
    [other.id],
  );
  for (const wrong of [{ id: 'aud_1' }, { tenantId: '' }, { action: 'Drop it' }])
    await assert.rejects(auth.gateway.recordActions({ actions: [{ ...action, ...wrong }] }), { code: 'VALIDATION_ERROR' });
  await assert.rejects(auth.stranger.recordActions({ actions: [action] }), { code: 'CALLER_NOT_ALLOWED' });
});

test('the audit log is dropped by the day', async () => {
  const { rows } = await auth.database.query<{ name: string }>(
    "SELECT child.relname AS name FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = 'audit_entry'::regclass",
  );
  assert.ok(rows.length >= 8, 'a partition a day, a week ahead');
});
