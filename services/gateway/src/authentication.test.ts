// How long an answer of auth is good for, and what happens when auth can't be asked. Time is a number here.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CredentialKind, type Principal, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { RpcError, rpcErrors } from '@maildoot/rpc/errors';
import { Authenticator } from './authentication.ts';
import { ApiError } from './errors.ts';

const principal: Principal = {
  tenantId: 'ten_1',
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
const unknownKey = (): RpcError => new RpcError('INVALID_TOKEN', { status: 'UNAUTHENTICATED', retryable: false }, { message: 'no' });
const down = (): RpcError => rpcErrors.UNAVAILABLE({ message: 'down' });

/** Parts that these tests have no use for. */
const unasked = {
  askToken: async (): Promise<Principal> => assert.fail('asked for a personal access token'),
  askSession: async (): Promise<Principal> => assert.fail('asked for a session'),
  askSmtpUser: async (): Promise<never> => assert.fail('no SMTP user is asked about'),
  tokens: { sessionOf: async () => undefined },
  // Time stands still for it: here nobody is made to wait.
  guesses: { check: () => undefined, failed: () => undefined },
  refused: () => undefined,
};

function setup(answer: () => Principal | Promise<Principal> = () => principal) {
  const state = { now: 0, asked: 0, answer };
  const authenticator = new Authenticator({
    ask: async () => {
      state.asked++;
      return state.answer();
    },
    ...unasked,
    nowMs: () => state.now,
  });
  const ask = (key = 'mdsk_a', address = '198.51.100.7') => authenticator.principalOf(`Bearer ${key}`, address);
  return { state, ask, authenticator };
}

const hashOf = (key: string) => createHash('sha256').update(key).digest();

const refuse = (error: () => Error) => (): never => {
  throw error();
};
const code = (expected: string) => (error: unknown) => error instanceof ApiError && error.code === expected;

test('an answer is good for 3 s, then auth is asked again', async () => {
  const { state, ask } = setup();
  await ask();
  state.now = 2999;
  await ask();
  assert.equal(state.asked, 1);
  state.now = 3000;
  await ask();
  assert.equal(state.asked, 2);
});

test('requests that come together ask once', async () => {
  const { state, ask } = setup();
  await Promise.all([ask(), ask(), ask()]);
  assert.equal(state.asked, 1);
  await Promise.all([ask('mdsk_b'), ask('mdsk_c')]);
  assert.equal(state.asked, 3);
});

test('a revoked key stops when the answer is asked for again', async () => {
  const { state, ask } = setup();
  await ask();
  state.answer = refuse(unknownKey);
  state.now = 3000;
  await assert.rejects(ask(), code('INVALID_TOKEN'));
  state.now = 3500;
  await assert.rejects(ask(), code('INVALID_TOKEN'));
  assert.equal(state.asked, 2, 'a refusal is remembered too');
});

test('a key that we hear is revoked stops at once, also with auth down, and no other does', async () => {
  const { state, ask, authenticator } = setup();
  await Promise.all([ask(), ask('mdsk_b')]);
  state.answer = refuse(down);
  authenticator.revoked(hashOf('mdsk_a'));
  await assert.rejects(ask(), code('INVALID_TOKEN'));
  assert.equal((await ask('mdsk_b')).tenantId, 'ten_1');
  state.now = 1000;
  await assert.rejects(ask(), code('UNAVAILABLE'), 'whatever it was good for is gone');
});

test('a key that we hear is revoked while its check is on the way is refused', async () => {
  const { state, ask, authenticator } = setup();
  let answered: (value: Principal) => void = () => undefined;
  state.answer = () => new Promise((resolve) => (answered = resolve));
  const first = ask();
  authenticator.revoked(hashOf('mdsk_a'));
  answered(principal);
  await assert.rejects(first, code('INVALID_TOKEN'));
  await assert.rejects(ask(), code('INVALID_TOKEN'));
});

test('when revocations may have been missed everything is asked again, also what is being asked', async () => {
  const { state, ask, authenticator } = setup();
  await ask();
  authenticator.forget();
  await ask();
  assert.equal(state.asked, 2);
  let answered: (value: Principal) => void = () => undefined;
  state.answer = () => new Promise((resolve) => (answered = resolve));
  const underWay = ask('mdsk_b');
  authenticator.forget();
  answered(principal);
  await underWay;
  state.answer = () => principal;
  await ask('mdsk_b');
  assert.equal(state.asked, 4);
});

test('a refusal is remembered for a second only', async () => {
  const { state, ask } = setup(refuse(unknownKey));
  await assert.rejects(ask());
  state.answer = () => principal;
  state.now = 999;
  await assert.rejects(ask(), code('INVALID_TOKEN'));
  state.now = 1000;
  assert.equal((await ask()).tenantId, 'ten_1');
});

test('with auth down a known key works until 5 s after its last check, then it fails closed', async () => {
  const { state, ask } = setup();
  await ask();
  state.answer = refuse(down);
  state.now = 4999;
  assert.equal((await ask()).tenantId, 'ten_1');
  state.now = 5000;
  await assert.rejects(ask(), code('UNAVAILABLE'));
  state.answer = () => principal;
  assert.equal((await ask()).tenantId, 'ten_1');
});

test('with auth down a key that was never seen is 503, not 401', async () => {
  const { ask } = setup(refuse(down));
  await assert.rejects(ask(), code('UNAVAILABLE'));
});

test('an auth that can’t say when to come again is given five seconds, one that can is taken at its word', async () => {
  const retryAfter = async (failure: RpcError) => {
    const { ask } = setup(refuse(() => failure));
    const error = await ask().then(
      () => assert.fail(),
      (one: ApiError) => one,
    );
    return error.headers['Retry-After'];
  };
  assert.equal(await retryAfter(rpcErrors.TIMEOUT({ message: 'its database hangs' })), '5');
  assert.equal(await retryAfter(rpcErrors.UNAVAILABLE({ message: 'soon', retryAfterMs: 2000 })), '2');
});

test('the 5 s count from when auth was asked, not from when it answered', async () => {
  const { state, ask } = setup();
  let answered: (value: Principal) => void = () => undefined;
  state.answer = () => new Promise((resolve) => (answered = resolve));
  const first = ask();
  state.now = 1400;
  answered(principal);
  await first;
  state.answer = refuse(down);
  state.now = 5000;
  await assert.rejects(ask(), code('UNAVAILABLE'));
});

test('a flood of made-up keys does not push a real one out', async () => {
  const { state, ask } = setup();
  await ask();
  state.answer = refuse(unknownKey);
  for (let index = 0; index < 10_500; index++) await assert.rejects(ask(`mdsk_made_up_${index}`));
  const asked = state.asked;
  await ask();
  assert.equal(state.asked, asked);
});

test('a key works from its networks only, and a stranger learns nothing', async () => {
  const { ask } = setup(() => ({ ...principal, allowedIps: ['198.51.100.0/24', '2001:db8::/32'] }));
  assert.equal((await ask('mdsk_a', '198.51.100.9')).tenantId, 'ten_1');
  assert.equal((await ask('mdsk_a', '2001:db8::9')).tenantId, 'ten_1');
  for (const address of ['198.51.101.9', '::1', '']) await assert.rejects(ask('mdsk_a', address), code('INVALID_TOKEN'));
});

test('a personal access token is remembered and revoked like a key, and may what its user may', async () => {
  const owner = { ...principal, apiKeyId: '', kind: CredentialKind.CREDENTIAL_KIND_PAT, userId: 'usr_1', role: Role.ROLE_OWNER };
  const state = { asked: [] as string[], answer: (): Principal => owner };
  const authenticator = new Authenticator({
    ...unasked,
    ask: async () => assert.fail('asked for a key'),
    askToken: async (sha256) => {
      state.asked.push(sha256.toString('hex'));
      return state.answer();
    },
    nowMs: () => 0,
  });
  const ask = () => authenticator.principalOf('Bearer pat_a', '198.51.100.7');
  for (const holder of [await ask(), await ask(), await authenticator.principalOfSmtp('apikey', 'pat_a', '')])
    assert.deepEqual(
      { kind: holder.kind, credentialId: holder.credentialId, userId: holder.userId, role: holder.role, scope: holder.scope },
      { kind: 'pat', credentialId: 'usr_1', userId: 'usr_1', role: 'owner', scope: 'full' },
    );
  assert.deepEqual(state.asked, [hashOf('pat_a').toString('hex')]);
  authenticator.revoked(hashOf('pat_a'));
  await assert.rejects(ask(), code('INVALID_TOKEN'));
  assert.equal(state.asked.length, 1);
});

test('what can’t be a key is refused without a question', async () => {
  const { state } = setup();
  const authenticator = new Authenticator({ ask: async () => assert.fail('asked'), ...unasked, nowMs: () => 0 });
  for (const text of [
    'Bearer',
    'Bearer ',
    'Basic mdsk_a',
    'mdsk_a',
    'Bearer PAT_a',
    `Bearer pat_${'x'.repeat(300)}`,
    'Bearer mdsk_a b',
    `Bearer mdsk_${'x'.repeat(300)}`,
    'Bearer mdsk_ü',
  ]) {
    await assert.rejects(authenticator.principalOf(text, ''), code('INVALID_TOKEN'), text);
  }
  for (const text of [undefined, '']) await assert.rejects(authenticator.principalOf(text, ''), code('MISSING_TOKEN'));
  assert.equal(state.asked, 0);
});
