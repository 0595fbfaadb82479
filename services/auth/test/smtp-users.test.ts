// Users of SMTP submission: made once, known by name and password together, ended for everybody who listens.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CredentialKind, type KeyLimits, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { CreateSmtpUserRequest, ResetSmtpPasswordRequest } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { newTenant, type RunningAuth, startAuth } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const hash = (text: string) => createHash('sha256').update(text).digest();
/** What the gateway makes of what a client says. */
const credential = (username: string, password: string) => hash(`${username.toLowerCase()}\0${password}`);
const create = (tenantId: string, username: string, fields: Partial<CreateSmtpUserRequest> = {}) =>
  auth.gateway.createSmtpUser(CreateSmtpUserRequest.fromPartial({ username, actorId: 'key_1', address: '203.0.113.9', ...fields }), {
    tenantId,
  });
const reset = (tenantId: string, id: string, fields: Partial<ResetSmtpPasswordRequest> = {}) =>
  auth.gateway.resetSmtpPassword(ResetSmtpPasswordRequest.fromPartial({ id, actorId: 'key_1', address: '203.0.113.9', ...fields }), {
    tenantId,
  });
const remove = (tenantId: string, id: string, callerLimits?: KeyLimits) =>
  auth.gateway.deleteSmtpUser({ id, callerLimits, actorId: 'key_1', address: '203.0.113.9' }, { tenantId });
const list = async (tenantId: string) => (await auth.gateway.listSmtpUsers({ limit: 100, afterId: '' }, { tenantId })).smtpUsers;
const authenticate = (username: string, password: string) =>
  auth.gateway.authenticateSmtpUser({ credentialSha256: credential(username, password) });
const limits = (fields: Partial<KeyLimits> = {}): KeyLimits => ({
  ...{ allowedIps: [], allowedDomains: [], expiresAt: undefined, dailyLimit: 0, test: false },
  ...fields,
});
let names = 0;
const newName = () => `user-${++names}`;

test('a name and its password together are the holder, and may send; neither alone is, nor the one with another’s', async () => {
  const { tenantId } = await newTenant(auth);
  const wanted = { domain: 'Shop.Example.', allowedIps: ['198.51.100.7'], dailyLimit: 5 };
  const [one, two] = [newName(), newName()];
  const { password, smtpUser } = await create(tenantId, one, wanted);
  const other = await create(tenantId, two);
  assert.match(password, /^mdsp_[\w-]{43}$/);
  assert.deepEqual([smtpUser?.username, smtpUser?.domain, smtpUser?.dailyLimit], [one, 'shop.example', 5]);
  const { principal, smtpUserId } = await authenticate(one.toUpperCase(), password);
  assert.equal(smtpUserId, smtpUser?.id);
  assert.deepEqual(
    [principal?.tenantId, principal?.scope, principal?.kind, principal?.allowedDomains, principal?.allowedIps, principal?.dailyLimit],
    [tenantId, Scope.SCOPE_SEND, CredentialKind.CREDENTIAL_KIND_SMTP_USER, ['shop.example'], smtpUser?.allowedIps, 5],
  );
  for (const [username, text] of [
    [one, other.password],
    [one, ''],
    ['', password],
    [newName(), password],
  ] as const)
    await assert.rejects(authenticate(username, text), { code: 'INVALID_TOKEN' }, `${username} ${text}`);
});

test('a name is one user’s on the whole installation, whatever its case; apikey is nobody’s', async () => {
  const [ours, theirs] = [await newTenant(auth), await newTenant(auth)];
  const name = newName();
  await create(ours.tenantId, name);
  await assert.rejects(create(theirs.tenantId, name.toUpperCase()), { code: 'USERNAME_TAKEN' });
  for (const username of ['apikey', 'APIKEY', '', 'a b', '-x', 'x'.repeat(65), 'ä'])
    await assert.rejects(create(ours.tenantId, username), { code: 'VALIDATION_ERROR' }, username);
  const taken = newName();
  const race = await Promise.allSettled(Array.from({ length: 6 }, () => create(ours.tenantId, taken)));
  assert.equal(race.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('another tenant’s user answers as one that never was', async () => {
  const [ours, theirs] = [await newTenant(auth), await newTenant(auth)];
  const { smtpUser, password } = await create(theirs.tenantId, newName());
  for (const id of [smtpUser?.id ?? '', newId('smu'), 'smu_x', '']) {
    await assert.rejects(reset(ours.tenantId, id), { code: 'NOT_FOUND' }, id);
    await assert.rejects(remove(ours.tenantId, id), { code: 'NOT_FOUND' }, id);
  }
  assert.deepEqual(await list(ours.tenantId), []);
  assert.ok(await authenticate(smtpUser?.username ?? '', password));
});

test('the list is newest first, page by page, and has no password', async () => {
  const { tenantId } = await newTenant(auth);
  const made: string[] = [];
  for (let number = 0; number < 5; number++) made.unshift((await create(tenantId, newName())).smtpUser?.id ?? '');
  const seen: string[] = [];
  for (let afterId = ''; ; afterId = seen.at(-1) ?? '') {
    const { smtpUsers, hasMore } = await auth.gateway.listSmtpUsers({ limit: 2, afterId }, { tenantId });
    seen.push(...smtpUsers.map(({ id }) => id));
    assert.doesNotMatch(JSON.stringify(smtpUsers), /mdsp_/);
    if (!hasMore) break;
  }
  assert.deepEqual(seen, made);
  await assert.rejects(auth.gateway.listSmtpUsers({ limit: 2, afterId: 'smu_x' }, { tenantId }), { code: 'VALIDATION_ERROR' });
});

test('a new password and a deletion end the old one, and whoever listens is told its hash', async () => {
  const { tenantId } = await newTenant(auth);
  const name = newName();
  const { smtpUser, password } = await create(tenantId, name);
  const id = smtpUser?.id ?? '';
  const heard: string[] = [];
  const stop = new AbortController();
  const listening = (async () => {
    for await (const { keySha256, missed } of auth.gateway.watchRevocations({}, { deadlineMs: 60_000, signal: stop.signal }))
      heard.push(...(missed ? ['missed'] : []), ...keySha256.map((one) => one.toString('hex')));
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  await waitFor(() => heard.includes('missed'), { what: 'the listener to hear' });
  const { password: fresh } = await reset(tenantId, id);
  await assert.rejects(authenticate(name, password), { code: 'INVALID_TOKEN' });
  await waitFor(() => heard.includes(credential(name, password).toString('hex')), { what: 'the end of the first password' });
  assert.ok(await authenticate(name, fresh));
  await remove(tenantId, id);
  await assert.rejects(authenticate(name, fresh), { code: 'INVALID_TOKEN' });
  await waitFor(() => heard.includes(credential(name, fresh).toString('hex')), { what: 'the end of the second' });
  await assert.rejects(remove(tenantId, id), { code: 'NOT_FOUND' });
  stop.abort();
  await listening;
});

test('a key makes and manages no user with wider limits than its own', async () => {
  const { tenantId } = await newTenant(auth);
  const narrow = limits({ allowedDomains: ['shop.example'] });
  await assert.rejects(create(tenantId, newName(), { callerLimits: narrow }), { code: 'INSUFFICIENT_SCOPE' });
  await assert.rejects(create(tenantId, newName(), { callerLimits: narrow, domain: 'other.example' }), { code: 'INSUFFICIENT_SCOPE' });
  assert.ok(await create(tenantId, newName(), { callerLimits: narrow, domain: 'shop.example' }));
  for (const one of [
    limits({ dailyLimit: 10 }),
    limits({ test: true }),
    limits({ expiresAt: new Date(auth.clock.now().getTime() + 86_400_000) }),
  ])
    await assert.rejects(create(tenantId, newName(), { callerLimits: one, dailyLimit: 1 }), { code: 'INSUFFICIENT_SCOPE' });
  const id = (await create(tenantId, newName())).smtpUser?.id ?? '';
  await assert.rejects(reset(tenantId, id, { callerLimits: narrow }), { code: 'INSUFFICIENT_SCOPE' });
  await assert.rejects(remove(tenantId, id, narrow), { code: 'INSUFFICIENT_SCOPE' });
});

test('a suspended tenant’s user is known, and known to be suspended', async () => {
  const { tenantId } = await newTenant(auth);
  const name = newName();
  const { password } = await create(tenantId, name);
  await auth.operator.suspendTenant({ tenantId, reason: 'abuse' });
  assert.equal((await authenticate(name, password)).principal?.suspended, true);
});

test('a repeated request gets the same user and password again; another body is refused; it rests sealed', async () => {
  const { tenantId } = await newTenant(auth);
  const name = newName();
  const once = { idempotencyKey: 'once', requestSha256: hash(name) };
  const first = await create(tenantId, name, once);
  assert.equal(first.replayed, false);
  assert.deepEqual(await create(tenantId, name, once), { ...first, replayed: true });
  await assert.rejects(create(tenantId, newName(), { ...once, requestSha256: hash('other') }), { code: 'IDEMPOTENCY_MISMATCH' });
  assert.equal((await list(tenantId)).length, 1);
  // Refused, so the key is free.
  await assert.rejects(create(tenantId, name, { idempotencyKey: 'free', requestSha256: hash('free') }), { code: 'USERNAME_TAKEN' });
  assert.equal((await create(tenantId, newName(), { idempotencyKey: 'free', requestSha256: hash('free') })).replayed, false);
  // Who may not make it doesn't see it.
  await assert.rejects(create(tenantId, name, { ...once, callerLimits: limits({ test: true }) }), { code: 'INSUFFICIENT_SCOPE' });

  const id = first.smtpUser?.id ?? '';
  const again = { idempotencyKey: 'reset', requestSha256: hash(id) };
  const fresh = await reset(tenantId, id, again);
  assert.deepEqual(await reset(tenantId, id, again), { ...fresh, replayed: true });
  assert.ok(await authenticate(name, fresh.password));
  const { rows } = await auth.database.query<{ response: Buffer }>('SELECT response FROM idempotency_record');
  assert.ok(rows.length >= 3);
  for (const { response } of rows) for (const text of [first.password, fresh.password]) assert.equal(response.indexOf(text), -1);
});

test('at the same time: one user, everybody else gets the same or is asked to wait', async () => {
  const { tenantId } = await newTenant(auth);
  const name = newName();
  const answers = await Promise.allSettled(
    Array.from({ length: 8 }, () => create(tenantId, name, { idempotencyKey: 'race', requestSha256: hash(name) })),
  );
  const passwords = answers.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value.password);
  assert.ok(passwords.length >= 1);
  assert.equal(new Set(passwords).size, 1);
  for (const answer of answers) if (answer.status === 'rejected') assert.equal(answer.reason.code, 'IDEMPOTENCY_IN_PROGRESS');
});

test('the audit log has who did what and where from; nobody but gateways asks', async () => {
  const { tenantId } = await newTenant(auth);
  const id = (await create(tenantId, newName())).smtpUser?.id ?? '';
  await reset(tenantId, id);
  await remove(tenantId, id);
  const { entries } = await auth.gateway.listAuditEntries({ limit: 10, afterId: '', action: '' }, { tenantId });
  assert.deepEqual(
    entries.filter(({ subjectId }) => subjectId === id).map(({ action, actorId, address }) => [action, actorId, address]),
    [
      ['smtp_user.deleted', 'key_1', '203.0.113.9'],
      ['smtp_user.password_reset', 'key_1', '203.0.113.9'],
      ['smtp_user.created', 'key_1', '203.0.113.9'],
    ],
  );
  await assert.rejects(auth.stranger.authenticateSmtpUser({ credentialSha256: hash('x') }), { code: 'CALLER_NOT_ALLOWED' });
});
