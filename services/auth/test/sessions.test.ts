// Sessions from the password to their end, through the real service on a real database.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { createLocalJWKSet, jwtVerify } from 'jose';
import {
  choosePassword,
  issuer,
  login,
  newTenant,
  origin,
  password,
  type RunningAuth,
  startAuth,
  tenantWithOwner,
} from './running-auth.ts';

let auth: RunningAuth;
before(async () => {
  auth = await startAuth();
});
after(() => auth[Symbol.asyncDispose]());

const hour = 3_600_000;
const holder = (sessionId: string) => auth.gateway.authenticateSession({ sessionId });
const refresh = (refreshToken: string) => auth.gateway.refresh({ refreshToken, origin, issuer });

async function jwks() {
  const { keys } = await auth.gateway.getSigningKeys({});
  return createLocalJWKSet({ keys: keys.map((key) => ({ ...key, kty: 'RSA', alg: 'RS256', use: 'sig' })) });
}

test('a password makes a session; its token says who, and is signed with a published key', async () => {
  const { tenantId, userId, email } = await tenantWithOwner(auth);
  const session = await login(auth, email.toUpperCase());
  const { payload, protectedHeader } = await jwtVerify(session.accessToken, await jwks(), { issuer, currentDate: auth.clock.now() });
  assert.equal(protectedHeader.alg, 'RS256');
  assert.equal(payload.sub, userId);
  assert.equal(payload.tenant, tenantId);
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 3600);
  assert.equal(session.expiresInS, 3600);
  assert.equal(session.refreshExpiresInS, 7 * 24 * 3600);
  assert.deepEqual((await holder(session.sessionId)).principal, {
    tenantId,
    apiKeyId: '',
    scope: Scope.SCOPE_UNSPECIFIED,
    allowedIps: [],
    allowedDomains: [],
    expiresAt: undefined,
    kind: CredentialKind.CREDENTIAL_KIND_SESSION,
    userId,
    role: Role.ROLE_OWNER,
    suspended: false,
    dailyLimit: 0,
  });
});

test('whichever part is wrong, the answer is the same, and costs the same work', async () => {
  const { email } = await tenantWithOwner(auth);
  const unset = await newTenant(auth);
  const unsetEmail = (await auth.gateway.listMembers({ limit: 1, afterId: '' }, { tenantId: unset.tenantId })).members[0]?.email ?? '';
  const answers = [];
  const times: number[] = [];
  for (const [address, text] of [
    [email, 'not the password'],
    ['nobody@example.com', password],
    [unsetEmail, password],
    ['not an address', password],
    [email, ''],
  ] as const) {
    // Of the process, for the derivation isn't done in this thread.
    const startedAt = process.cpuUsage();
    const error = await auth.gateway
      .login({ email: address, password: text, origin: { ...origin, address: '198.51.100.99' }, issuer })
      .then(
        () => assert.fail('it logged in'),
        (failure: { code: string; status: string; detail: unknown }) => failure,
      );
    times.push(process.cpuUsage(startedAt).user / 1000);
    answers.push({ code: error.code, status: error.status, detail: error.detail });
  }
  assert.equal(answers[0]?.code, 'INVALID_CREDENTIALS');
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  // What dominates is the derivation of the password: an answer without it takes a hundredth.
  assert.ok(Math.min(...times) > Math.max(...times) / 5, times.map(Math.round).join(', '));
});

test('a refresh token is good once; the next one goes on', async () => {
  const { email } = await tenantWithOwner(auth);
  const first = await login(auth, email);
  const second = await refresh(first.refreshToken);
  assert.notEqual(second.tokens?.refreshToken, first.refreshToken);
  const third = await refresh(second.tokens?.refreshToken ?? '');
  assert.ok(third.tokens?.accessToken);
  assert.equal((await holder(first.sessionId)).principal?.userId, first.user.id, 'it is the same session');
});

test('a refresh token that comes a second time ends the session for both', async () => {
  const { tenantId, email } = await tenantWithOwner(auth);
  const first = await login(auth, email);
  const other = await login(auth, email);
  const second = await refresh(first.refreshToken);
  await assert.rejects(refresh(first.refreshToken), { code: 'INVALID_TOKEN' });
  await assert.rejects(refresh(second.tokens?.refreshToken ?? ''), { code: 'INVALID_TOKEN' });
  await assert.rejects(holder(first.sessionId), { code: 'INVALID_TOKEN' });
  assert.ok((await holder(other.sessionId)).principal, 'another session of the user goes on');
  const { entries } = await auth.gateway.listAuditEntries({ limit: 10, afterId: '', action: 'session.reused' }, { tenantId });
  assert.deepEqual(
    entries.map(({ subjectId }) => subjectId),
    [first.sessionId],
  );
});

test('of two who come at the same moment with one token at most one goes on', async () => {
  const { email } = await tenantWithOwner(auth);
  for (let round = 0; round < 5; round++) {
    const { refreshToken, sessionId } = await login(auth, email);
    const outcomes = await Promise.allSettled([refresh(refreshToken), refresh(refreshToken), refresh(refreshToken)]);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    await assert.rejects(holder(sessionId), { code: 'INVALID_TOKEN' });
  }
});

test('a session that is not refreshed for 7 days is over', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const { refreshToken, sessionId } = await login(own, email);
  await own.clock.advance(6 * 24 * hour);
  const next = await own.gateway.refresh({ refreshToken, origin, issuer });
  await own.clock.advance(6 * 24 * hour);
  assert.ok((await own.gateway.authenticateSession({ sessionId })).principal);
  await own.clock.advance(24 * hour);
  await assert.rejects(own.gateway.authenticateSession({ sessionId }), { code: 'INVALID_TOKEN' });
  await assert.rejects(own.gateway.refresh({ refreshToken: next.tokens?.refreshToken ?? '', origin, issuer }), { code: 'INVALID_TOKEN' });
});

test('sessions that are over are forgotten, but for those that somebody holds, who may wait for another', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const held = await login(own, email);
  await login(own, email);
  // Who tends looks every ten minutes, from when the last look was over.
  const left = async () => {
    await own.clock.advance(10 * 60_000);
    return Number((await own.database.query<{ count: string }>('SELECT count(*) FROM session')).rows[0]?.count);
  };
  const holding = await own.database.connect();
  try {
    await holding.query('BEGIN');
    await holding.query('SELECT FROM session WHERE id = $1 FOR UPDATE', [idToUuid('ses', held.sessionId)]);
    await own.clock.advance(8 * 24 * hour);
    await waitFor(async () => (await left()) === 1, { what: 'the other session to be forgotten' });
    await holding.query('COMMIT');
  } finally {
    holding.release();
  }
  await waitFor(async () => (await left()) === 0, { what: 'the one that was held to be forgotten' });
});

test('used refresh tokens are known for what they are for 7 days, and no longer kept', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const first = await login(own, email);
  const renewed = async (refreshToken: string) =>
    (await own.gateway.refresh({ refreshToken, origin, issuer })).tokens?.refreshToken ?? assert.fail('no token');
  const kept = async () => Number((await own.database.query<{ count: string }>('SELECT count(*) FROM refresh_token')).rows[0]?.count);
  const second = await renewed(first.refreshToken);
  await own.clock.advance(4 * 24 * hour);
  const third = await renewed(second);
  assert.equal(await kept(), 3);
  await own.clock.advance(4 * 24 * hour);
  const fourth = await renewed(third);
  assert.equal(await kept(), 3, 'the first is gone');
  // It is unknown now, and ends nothing; one that is younger ends the session.
  await assert.rejects(renewed(first.refreshToken), { code: 'INVALID_TOKEN' });
  const fifth = await renewed(fourth);
  await assert.rejects(renewed(second), { code: 'INVALID_TOKEN' });
  await assert.rejects(renewed(fifth), { code: 'INVALID_TOKEN' });
});

test('refreshing has places of its own, and few: a flood is told to come back', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const { refreshToken } = await login(own, email);
  const blocker = await own.database.connect();
  try {
    // Everything that refreshes waits for the row.
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM refresh_token FOR UPDATE');
    const codes: string[] = [];
    const flood = Promise.all(
      Array.from({ length: 210 }, () =>
        own.gateway.refresh({ refreshToken, origin, issuer }).then(
          () => codes.push('ok'),
          (error: { code: string }) => codes.push(error.code),
        ),
      ),
    );
    await waitFor(() => codes.length >= 8, { what: 'those beyond the places to be sent away' });
    assert.ok(codes.every((code) => code === 'RATE_LIMITED'));
    // The database has connections left for everybody else.
    assert.ok(await login(own, email));
    await blocker.query('COMMIT');
    await flood;
  } finally {
    blocker.release();
  }
});

test('sessions are listed, one or all but one can be ended, and nobody else’s', async () => {
  const { tenantId, email } = await tenantWithOwner(auth);
  const stranger = await tenantWithOwner(auth);
  const foreign = await login(auth, stranger.email);
  const [one, two, three] = [await login(auth, email), await login(auth, email), await login(auth, email)];
  const userId = one.user.id;
  const list = async () => (await auth.gateway.listSessions({ userId, limit: 10, afterId: '' }, { tenantId })).sessions.map(({ id }) => id);
  assert.deepEqual(await list(), [three.sessionId, two.sessionId, one.sessionId]);
  assert.deepEqual((await auth.gateway.listSessions({ userId: foreign.user.id, limit: 10, afterId: '' }, { tenantId })).sessions, []);
  for (const sessionId of [foreign.sessionId, newId('ses'), 'ses_nonsense'])
    await assert.rejects(auth.gateway.endSessions({ userId, sessionId, keepSessionId: '' }, { tenantId }), { code: 'NOT_FOUND' });
  await assert.rejects(
    auth.gateway.endSessions({ userId: foreign.user.id, sessionId: foreign.sessionId, keepSessionId: '' }, { tenantId }),
    {
      code: 'NOT_FOUND',
    },
  );
  await auth.gateway.endSessions({ userId, sessionId: two.sessionId, keepSessionId: '' }, { tenantId });
  assert.deepEqual(await list(), [three.sessionId, one.sessionId]);
  assert.equal((await auth.gateway.endSessions({ userId, sessionId: '', keepSessionId: one.sessionId }, { tenantId })).ended, 1);
  assert.deepEqual(await list(), [one.sessionId]);
  await assert.rejects(refresh(three.refreshToken), { code: 'INVALID_TOKEN' });
  assert.ok((await holder(foreign.sessionId)).principal);
});

test('whoever listens hears of a session that ends, by the hash of its id, through any process', async () => {
  await using other = await startAuth({ databaseUrl: auth.databaseUrl });
  const { tenantId, email } = await tenantWithOwner(auth);
  const { sessionId, user } = await login(auth, email);
  const heard: string[] = [];
  const stop = new AbortController();
  const listening = (async () => {
    for await (const frame of other.gateway.watchRevocations({}, { deadlineMs: 60_000, signal: stop.signal })) {
      if (frame.missed) heard.push('missed');
      heard.push(...frame.keySha256.map((hash) => hash.toString('hex')));
    }
  })().catch(() => undefined);
  await waitFor(() => heard.includes('missed'), { what: 'the stream to begin' });
  await auth.gateway.endSessions({ userId: user.id, sessionId, keepSessionId: '' }, { tenantId });
  await waitFor(() => heard.includes(createHash('sha256').update(sessionId).digest('hex')), {
    what: 'the end of the session',
    intervalMs: 1,
  });
  // A suspension changes what all credentials of a tenant may: everything is forgotten.
  heard.length = 0;
  await auth.operator.suspendTenant({ tenantId, reason: 'spam' });
  await waitFor(() => heard.includes('missed'), { what: 'everybody to forget' });
  stop.abort();
  await listening;
});

test('guessing is slowed per account, also for accounts that don’t exist, and right guesses don’t help meanwhile', async () => {
  const { email } = await tenantWithOwner(auth);
  for (const account of [email, 'nobody-at-all@example.com']) {
    const attempt = (text: string, address: string) =>
      auth.gateway.login({ email: account, password: text, origin: { address, userAgent: '' }, issuer });
    for (let count = 0; count < 5; count++) await assert.rejects(attempt('wrong', `203.0.113.${count}`), { code: 'INVALID_CREDENTIALS' });
    const error = await attempt(password, '203.0.113.9').then(
      () => assert.fail('it logged in'),
      (failure: { code: string; retryAfterMs: number }) => failure,
    );
    assert.equal(error.code, 'RATE_LIMITED');
    assert.equal(error.retryAfterMs, 1000);
  }
  await auth.clock.advance(1000);
  assert.ok(await login(auth, email, { ...origin, address: '203.0.113.9' }));
});

test('a thousand tries at the same moment get no further than five', async () => {
  const { email } = await tenantWithOwner(auth);
  const outcomes = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      auth.gateway
        .login(
          { email, password: `guess ${index}`, origin: { address: `2001:db8:0:${index.toString(16)}::1`, userAgent: '' }, issuer },
          { deadlineMs: 60_000 },
        )
        .then(
          () => 'ok',
          (error: { code: string }) => error.code,
        ),
    ),
  );
  const count = (code: string) => outcomes.filter((one) => one === code).length;
  const tried = count('INVALID_CREDENTIALS');
  // Fewer on a machine so busy that even these are told to come back.
  assert.ok(tried >= 1 && tried <= 5, `${tried} were tried`);
  assert.equal(tried + count('RATE_LIMITED'), outcomes.length);
});

test('guessing is slowed per address, whatever the accounts; of IPv6 per /64', async () => {
  const attempt = (index: number, address: string) =>
    auth.gateway.login({ email: `somebody${index}@example.com`, password, origin: { address, userAgent: '' }, issuer }).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  const codes = [];
  for (let index = 0; index < 22; index++) codes.push(await attempt(index, `2001:db8:1:2::${index.toString(16)}`));
  assert.deepEqual(codes, [...Array(20).fill('INVALID_CREDENTIALS'), 'RATE_LIMITED', 'RATE_LIMITED']);
  assert.equal(await attempt(99, '2001:db8:1:3::1'), 'INVALID_CREDENTIALS');
});

test('strangers who guess don’t keep the owner out where the owner has been before', async () => {
  const { email } = await tenantWithOwner(auth);
  await login(auth, email, { ...origin, address: '192.0.2.50' });
  for (let count = 0; count < 6; count++)
    await auth.gateway
      .login({ email, password: 'wrong', origin: { address: `203.0.113.${100 + count}`, userAgent: '' }, issuer })
      .catch(() => undefined);
  assert.ok(await login(auth, email, { ...origin, address: '192.0.2.50' }));
  await assert.rejects(login(auth, email, { ...origin, address: '192.0.2.51' }), { code: 'RATE_LIMITED' });
});

test('signing keys: a new one signs, the old one is published until its tokens are over, a compromised one is gone at once', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const kid = async () => (await login(own, email)).accessToken.split('.')[0] ?? '';
  const published = async () => (await own.gateway.getSigningKeys({})).keys.map((key) => key.kid);
  const first = await kid();
  assert.equal((await published()).length, 1);
  await own.operator.rotateSigningKey({ compromised: false });
  assert.notEqual(await kid(), first);
  assert.equal((await published()).length, 2);
  await own.clock.advance(hour + 5 * 60_000);
  assert.equal((await published()).length, 1);
  const { kid: fresh } = await own.operator.rotateSigningKey({ compromised: true });
  assert.deepEqual(await published(), [fresh]);
});

test('processes of auth sign with one key, and it rests sealed', async () => {
  await using one = await startAuth();
  await using two = await startAuth({ databaseUrl: one.databaseUrl });
  const keys = await Promise.all([one, two].map(async (of) => (await of.gateway.getSigningKeys({})).keys));
  assert.equal(keys[0]?.length, 1);
  assert.deepEqual(keys[0], keys[1]);
  const { rows } = await one.database.query<{ sealed_private: Buffer }>('SELECT sealed_private FROM token_key');
  assert.equal(rows.length, 1);
  // PKCS #8 of an RSA key begins with its algorithm's number.
  assert.ok(!rows[0]?.sealed_private.includes(Buffer.from('2a864886f70d010101', 'hex')));
});

test('neither tables nor logs have a password, a token or a link', async () => {
  await using own = await startAuth();
  const { email } = await tenantWithOwner(own);
  const { token } = await own.operator.createPasswordLink({ email, onlyIfNone: false });
  const session = await login(own, email);
  const next = await own.gateway.refresh({ refreshToken: session.refreshToken, origin, issuer });
  await assert.rejects(login(own, email, origin, 'another wrong password'));
  await choosePassword(own, email, 'a quiet river in november');
  const { rows: tables } = await own.database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_schema = 'auth'`,
  );
  let kept = '';
  for (const { name } of tables) {
    const { rows } = await own.database.query<{ row: string }>(`SELECT row::text FROM ${name} AS row`);
    kept += rows.map(({ row }) => row).join('\n');
  }
  assert.ok(kept.includes('$scrypt$'), 'the tables were looked at');
  for (const secret of [
    password,
    'a quiet river in november',
    'another wrong password',
    token,
    session.refreshToken,
    session.accessToken,
    next.tokens?.refreshToken ?? '',
  ]) {
    for (const form of [secret, Buffer.from(secret).toString('hex')]) {
      assert.ok(!kept.includes(form), 'a table has a secret');
      assert.ok(!own.logs.text.includes(form), 'a log line has a secret');
    }
  }
});
