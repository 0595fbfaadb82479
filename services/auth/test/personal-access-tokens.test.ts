// Personal access tokens, through the real service on a real database.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CredentialKind, Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import { idToUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { choosePassword, login, newTenant, origin, password, type RunningAuth, startAuth, tenantWithOwner } from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

interface Whose {
  tenantId: string;
  userId: string;
}

const { address } = origin;
const hashOf = (token: string) => createHash('sha256').update(token).digest();
const holderOf = async (token: string) =>
  (await auth.gateway.authenticatePersonalAccessToken({ tokenSha256: hashOf(token), address })).principal;
const isOver = (token: string) => assert.rejects(holderOf(token), { code: 'INVALID_TOKEN' });
const once = (idempotencyKey: string, of: string) => ({ idempotencyKey, requestSha256: hashOf(of) });
const regenerate = ({ tenantId, userId }: Whose, more = once('', ''), actorId = userId) =>
  auth.gateway.regeneratePersonalAccessToken({ userId, actorId, address, ...more }, { tenantId });
const read = async ({ tenantId, userId }: Whose, actorId = userId) =>
  (await auth.gateway.getPersonalAccessToken({ userId, actorId, address }, { tenantId })).token;
const tokenOf = async (whose: Whose) => {
  await regenerate(whose);
  return (await read(whose))?.value ?? assert.fail('no token');
};

async function member({ tenantId, userId }: Whose, email: string, role: Role): Promise<Whose> {
  const { member: invited } = await auth.gateway.inviteMember(
    { email, role, publicUrl: 'https://mail.example', actorId: userId, ...once('', '') },
    { tenantId },
  );
  return { tenantId, userId: invited?.id ?? assert.fail() };
}

/** The log of what became of tokens, oldest first. */
async function logged({ tenantId }: Whose): Promise<string[][]> {
  const { entries } = await auth.gateway.listAuditEntries({ limit: 100, afterId: '', action: '' }, { tenantId });
  const ofTokens = entries.filter(({ action }) => action.startsWith('personal_access_token.'));
  return ofTokens.map((entry) => [entry.action.split('.')[1] ?? '', entry.actorId, entry.subjectId, entry.address, entry.detail]).reverse();
}

test('a person has no token until one is made; it is theirs, in their role, and can be read again', async () => {
  const owner = await newTenant(auth);
  const viewer = await member(owner, 'viewer@tokens.example', Role.ROLE_VIEWER);
  assert.equal(await read(owner), undefined);
  const value = await tokenOf(owner);
  assert.match(value, /^pat_[0-9A-Za-z]{43}$/);
  assert.deepEqual(await holderOf(value), {
    tenantId: owner.tenantId,
    apiKeyId: '',
    scope: 0,
    allowedIps: [],
    allowedDomains: [],
    expiresAt: undefined,
    kind: CredentialKind.CREDENTIAL_KIND_PAT,
    userId: owner.userId,
    role: Role.ROLE_OWNER,
    suspended: false,
    dailyLimit: 0,
  });
  const { user, number, suspended } = await auth.gateway.getUser({ userId: owner.userId }, owner);
  assert.deepEqual([user?.id, user?.role, suspended], [owner.userId, Role.ROLE_OWNER, false]);
  assert.deepEqual(await read(owner), { userNumber: number, value, createdAt: auth.clock.now() });
  const ofViewer = await tokenOf(viewer);
  assert.equal((await holderOf(ofViewer))?.role, Role.ROLE_VIEWER);
  assert.notEqual((await auth.gateway.getUser({ userId: viewer.userId }, owner)).number, number);
  assert.equal((await holderOf(value))?.userId, owner.userId, 'another’s new token ends none');
});

test('a new token ends the one before it, and whoever listens is told its hash with that', async () => {
  const owner = await newTenant(auth);
  const first = await tokenOf(owner);
  const stop = new AbortController();
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { keySha256, missed } of auth.gateway.watchRevocations({}, { deadlineMs: 60_000, signal: stop.signal })) {
      if (missed) heard.push('missed');
      heard.push(...keySha256.map((sha256) => sha256.toString('hex')));
    }
  })().catch(() => undefined);
  await waitFor(() => heard.includes('missed'), { what: 'to be listening' });
  const second = await tokenOf(owner);
  await waitFor(() => heard.includes(hashOf(first).toString('hex')), { what: 'the end of the first' });
  stop.abort();
  await listening;
  assert.ok(!heard.includes(hashOf(second).toString('hex')));
  await isOver(first);
  assert.equal((await holderOf(second))?.userId, owner.userId);
});

test('of many who make one at the same moment all are answered and one token is good', async () => {
  const owner = await newTenant(auth);
  await Promise.all(Array.from({ length: 8 }, () => regenerate(owner)));
  const { rows } = await auth.database.query(
    'SELECT revoked_at, length(sealed_value) AS kept FROM personal_access_token WHERE user_id = $1',
    [idToUuid('usr', owner.userId)],
  );
  assert.equal(rows.length, 8);
  assert.deepEqual(
    rows.filter(({ revoked_at, kept }) => (revoked_at === null) !== kept > 0),
    [],
    'what is over isn’t kept',
  );
  assert.equal(rows.filter(({ revoked_at }) => revoked_at === null).length, 1);
  assert.equal((await holderOf((await read(owner))?.value ?? ''))?.userId, owner.userId);
});

test('a repeated request makes no second one; another’s request under the same key is another', async () => {
  const owner = await newTenant(auth);
  assert.equal((await regenerate(owner, once('again', owner.userId))).replayed, false);
  const made = await read(owner);
  assert.equal((await regenerate(owner, once('again', owner.userId))).replayed, true);
  assert.deepEqual(await read(owner), made);
  await assert.rejects(regenerate(owner, once('again', 'usr_2')), { code: 'IDEMPOTENCY_MISMATCH' });
});

test('a key stands for the first owner who has come; a user of another tenant is nobody', async () => {
  const [invited, stranger] = [await newTenant(auth), await newTenant(auth)];
  const owner = await member(invited, 'second@tokens.example', Role.ROLE_OWNER);
  await member(invited, 'third@tokens.example', Role.ROLE_OWNER);
  assert.equal((await auth.gateway.getUser({ userId: '' }, owner)).user?.id, invited.userId);
  await choosePassword(auth, 'third@tokens.example');
  await choosePassword(auth, 'second@tokens.example');
  const key = { tenantId: owner.tenantId, userId: '' };
  await regenerate(key, once('', ''), 'key_1');
  const value = (await read(key, 'key_1'))?.value ?? '';
  assert.equal((await holderOf(value))?.userId, owner.userId);
  assert.equal((await read(owner))?.value, value);
  assert.equal((await auth.gateway.getUser({ userId: '' }, owner)).user?.id, owner.userId);
  for (const userId of [owner.userId, 'usr_1', 'key_1']) {
    const theirs = { tenantId: stranger.tenantId, userId };
    await assert.rejects(read(theirs), { code: 'NOT_FOUND' });
    await assert.rejects(regenerate(theirs), { code: 'NOT_FOUND' });
    await assert.rejects(auth.gateway.getUser({ userId }, theirs), { code: 'NOT_FOUND' });
  }
  assert.equal((await read(owner))?.value, value);
});

test('the log has who made it, who read it, and that one which is over was tried', async () => {
  const owner = await newTenant(auth);
  assert.equal(await read(owner), undefined);
  const first = await tokenOf(owner);
  await read({ ...owner, userId: '' }, 'key_1');
  await regenerate(owner);
  await isOver(first);
  await isOver(first);
  await isOver(`pat_${'x'.repeat(43)}`);
  await waitFor(async () => (await logged(owner)).length === 5, { what: 'what was refused to be in the log' });
  assert.deepEqual(await logged(owner), [
    ['regenerated', owner.userId, owner.userId, address, ''],
    ['read', owner.userId, owner.userId, address, ''],
    ['read', 'key_1', owner.userId, address, ''],
    ['regenerated', owner.userId, owner.userId, address, ''],
    ['refused', '', owner.userId, address, 'revoked'],
  ]);
});

test('it ends with its user, also one that is being made meanwhile, and its next try is in the log', async () => {
  const owner = await newTenant(auth);
  const leaving = await member(owner, 'leaving@tokens.example', Role.ROLE_MEMBER);
  const before = await tokenOf(leaving);
  const outcomes = Promise.allSettled(Array.from({ length: 4 }, () => regenerate(leaving)));
  await auth.gateway.removeMember({ id: leaving.userId, actorId: owner.userId }, owner);
  for (const outcome of await outcomes) if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'NOT_FOUND');
  await isOver(before);
  await assert.rejects(regenerate(leaving), { code: 'NOT_FOUND' });
  await assert.rejects(read(leaving), { code: 'NOT_FOUND' });
  const { rows } = await auth.database.query('SELECT FROM personal_access_token WHERE user_id = $1 AND revoked_at IS NULL', [
    idToUuid('usr', leaving.userId),
  ]);
  assert.equal(rows.length, 0);
  await waitFor(async () => (await logged(owner)).some(([what, , whose]) => what === 'refused' && whose === leaving.userId), {
    what: 'the try to be in the log',
  });
});

test('it outlasts sessions and passwords, like a key, and says when its account is suspended', async () => {
  const owner = await tenantWithOwner(auth);
  const value = await tokenOf(owner);
  const { sessionId } = await login(auth, owner.email);
  await auth.gateway.changePassword(
    { userId: owner.userId, currentPassword: password, newPassword: 'another long password', keepSessionId: '', origin },
    owner,
  );
  await choosePassword(auth, owner.email);
  await assert.rejects(auth.gateway.authenticateSession({ sessionId }), { code: 'INVALID_TOKEN' });
  assert.equal((await holderOf(value))?.suspended, false);
  await auth.operator.suspendTenant({ tenantId: owner.tenantId, reason: 'spam' });
  assert.equal((await holderOf(value))?.suspended, true);
  assert.equal((await auth.gateway.getUser({ userId: owner.userId }, owner)).suspended, true);
});

test('it rests sealed, for its user alone; no log line has it', async () => {
  const [one, other] = [await newTenant(auth), await newTenant(auth)];
  const [value] = [await tokenOf(one), await tokenOf(other)];
  const { rows } = await auth.database.query<{ row: string }>('SELECT row::text FROM personal_access_token AS row');
  const kept = rows.map(({ row }) => row).join('\n');
  assert.ok(kept.includes(hashOf(value).toString('hex')), 'the table was looked at');
  const secret = value.slice('pat_'.length);
  for (const form of [secret, Buffer.from(secret).toString('hex')]) {
    assert.ok(!kept.includes(form), 'the table has a token');
    assert.ok(!auth.logs.text.includes(form), 'a log line has a token');
  }
  await auth.database.query(
    `UPDATE personal_access_token SET sealed_value = (SELECT sealed_value FROM personal_access_token WHERE user_id = $1 AND revoked_at IS NULL)
      WHERE user_id = $2 AND revoked_at IS NULL`,
    [one, other].map(({ userId }) => idToUuid('usr', userId)),
  );
  await assert.rejects(read(other), { code: 'INTERNAL_ERROR' });
});

test('one that was replaced is known for 90 days', async () => {
  const owner = await newTenant(auth);
  const tokens = [await tokenOf(owner), await tokenOf(owner), await tokenOf(owner)];
  const daysAgo = (days: number) => new Date(auth.clock.now().getTime() - days * 24 * 3_600_000);
  for (const [index, days] of [91, 89].entries())
    await auth.database.query('UPDATE personal_access_token SET revoked_at = $2 WHERE sha256 = $1', [
      hashOf(tokens[index] ?? ''),
      daysAgo(days),
    ]);
  const kept = async () => {
    const { rows } = await auth.database.query<{ sha256: Buffer }>('SELECT sha256 FROM personal_access_token WHERE user_id = $1', [
      idToUuid('usr', owner.userId),
    ]);
    return rows.map(({ sha256 }) => sha256.toString('hex')).toSorted();
  };
  await waitFor(
    async () => {
      await auth.clock.advance(10 * 60_000);
      return (await kept()).length < tokens.length;
    },
    { what: 'the oldest to go' },
  );
  assert.deepEqual(
    await kept(),
    tokens
      .slice(1)
      .map((token) => hashOf(token).toString('hex'))
      .toSorted(),
  );
});

test('nobody but gateways asks', async () => {
  const { tenantId, userId } = await newTenant(auth);
  const asked = { userId, actorId: userId, address, ...once('', '') };
  for (const caller of [auth.stranger, auth.operator]) {
    const refused = { code: 'CALLER_NOT_ALLOWED' };
    await assert.rejects(caller.getUser(asked, { tenantId }), refused);
    await assert.rejects(caller.getPersonalAccessToken(asked, { tenantId }), refused);
    await assert.rejects(caller.regeneratePersonalAccessToken(asked, { tenantId }), refused);
    await assert.rejects(caller.authenticatePersonalAccessToken({ tokenSha256: hashOf('pat_x'), address }), refused);
  }
});
