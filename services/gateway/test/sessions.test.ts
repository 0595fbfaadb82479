// Sessions at the real gateway: tokens checked by their signature, the state of a session asked for now and then and told at once, the cookie.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CreateApiKeyRequest, Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { LoginRequest, RefreshRequest } from '@maildoot/proto/maildoot/auth/v1/session';
import type { GetPersonalAccessTokenRequest, RegeneratePersonalAccessTokenRequest } from '@maildoot/proto/maildoot/auth/v1/user';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices } from './fake-services.ts';
import { errors } from './fake-tenant.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

async function setup() {
  const stack = new AsyncDisposableStack();
  const services = stack.use(await FakeServices.start());
  const gateway = stack.use(await startGateway(services));
  const tenant = services.addTenant();
  return { services, gateway, tenant, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const list = (gateway: Gateway, token: string) => gateway.call('GET', '/v1/api-keys', { key: token, expectFailure: true });

test('a session’s token works, its keys are asked for once, and its state once in a while', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const { token } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  assert.equal((await list(gateway, token)).status, 200);
  const before = { ...services.people.count };
  for (let count = 0; count < 20; count++) assert.equal((await list(gateway, token)).status, 200);
  assert.ok(services.people.count.authenticateSession - before.authenticateSession <= 1);
  assert.ok(services.people.count.getSigningKeys - before.getSigningKeys <= 1);
});

test('a token that isn’t ours, is over, or is for somebody else, is worth nothing, and auth isn’t asked about it', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const { people } = services;
  const good = await people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  const [head = '', payload = '', signature = ''] = good.token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string };
  const hmac = await import('node:crypto').then(({ createHmac }) =>
    createHmac('sha256', people.keys[0]?.published.n ?? '')
      .update(`${encoded({ alg: 'HS256', kid })}.${payload}`)
      .digest('base64url'),
  );
  const bad: Record<string, string> = {
    'another key': await people.token(gateway.url, good.id, good.userId, {}, people.stranger),
    'another key under a known name': await people.token(
      gateway.url,
      good.id,
      good.userId,
      {},
      {
        ...people.stranger,
        published: { ...people.stranger.published, kid },
      },
    ),
    over: await people.token(gateway.url, good.id, good.userId, { expiresInS: -60 }),
    'another issuer': await people.token('https://elsewhere.example', good.id, good.userId),
    'another audience': await people.token(gateway.url, good.id, good.userId, { audience: 'others' }),
    'other claims': `${head}.${encoded({ ...claims, sid: newId('ses') })}.${signature}`,
    'no algorithm': `${encoded({ alg: 'none', kid })}.${payload}.x`,
    'the public key as a secret': `${encoded({ alg: 'HS256', kid })}.${payload}.${hmac}`,
  };
  for (const [what, token] of Object.entries(bad)) assert.equal((await list(gateway, token)).code, 'INVALID_TOKEN', what);
  assert.equal(people.count.authenticateSession, 0);
  // Another user's session under a token of ours.
  const other = await people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  assert.equal((await list(gateway, await people.token(gateway.url, other.id, good.userId))).code, 'INVALID_TOKEN');
  assert.equal((await list(gateway, good.token)).status, 200);
});

test('a session that we hear has ended stops at once', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  const { token, id } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  assert.equal((await list(gateway, token)).status, 200);
  const asked = services.people.count.authenticateSession;
  services.people.sessions.delete(id);
  services.tellRevoked(id);
  await waitFor(async () => (await list(gateway, token)).code === 'INVALID_TOKEN', {
    what: 'the session to stop',
    intervalMs: 1,
  });
  assert.equal(services.people.count.authenticateSession, asked, 'auth is not asked');
});

test('a session that nobody tells us of stops by itself', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const { token, id } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  assert.equal((await list(gateway, token)).status, 200);
  services.people.sessions.delete(id);
  const endedAt = performance.now();
  await waitFor(async () => (await list(gateway, token)).code === 'INVALID_TOKEN', { what: 'the session to stop', intervalMs: 50 });
  // The 3 s themselves are held against a clock in src/authentication.test.ts.
  assert.ok(performance.now() - endedAt < 10_000);
});

test('a token of a new signing key works at once, and one of a withdrawn key stops when we are told', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  const first = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  assert.equal((await list(gateway, first.token)).status, 200);
  services.people.rotate();
  const next = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  assert.equal((await list(gateway, next.token)).status, 200);
  assert.equal((await list(gateway, first.token)).status, 200, 'the old one is still published');
  services.people.keys.pop();
  services.tellMissed();
  await waitFor(async () => (await list(gateway, first.token)).code === 'INVALID_TOKEN', {
    what: 'the old key to go',
    intervalMs: 20,
    // Untold, keys are asked for again after a minute.
    timeoutMs: 30_000,
  });
});

test('made-up tokens don’t make us ask for keys again and again', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const startedAt = performance.now();
  for (let count = 0; count < 30; count++) {
    const token = await services.people.token(
      gateway.url,
      newId('ses'),
      tenant.id,
      {},
      {
        ...services.people.stranger,
        published: { ...services.people.stranger.published, kid: `made-up-${count}` },
      },
    );
    await list(gateway, token);
  }
  // Every two seconds at most.
  const mayAsk = 3 + (performance.now() - startedAt) / 2_000;
  assert.ok(services.people.count.getSigningKeys <= mayAsk, String(services.people.count.getSigningKeys));
});

test('while auth is away a session works on for a moment, then 503', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const { token } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  const read = () => gateway.call('GET', '/v1/messages', { key: token, expectFailure: true });
  await waitFor(() => services.watching === 1, { what: 'the gateway to listen' });
  // The first answer comes behind the frame that makes the gateway forget what it knows; the second is remembered.
  for (let count = 0; count < 2; count++) assert.equal((await read()).status, 200);
  await services.down('auth');
  assert.equal((await read()).status, 200);
  await waitFor(async () => (await read()).status === 503, { what: 'the gateway to fail closed', intervalMs: 100 });
});

test('the cookie of a login is for the browser alone, and refreshes', async () => {
  await using world = await setup();
  const { services, gateway } = world;
  const login = await gateway.call('POST', '/v1/auth/login', {
    body: { email: 'ada@example.com', password: 'correct horse battery staple' },
    headers: { 'user-agent': 'a browser' },
  });
  assert.equal(login.status, 200);
  const [cookie = ''] = login.headers['set-cookie'] ?? [];
  assert.match(cookie, /^maildoot_refresh=rt_r{43}; Max-Age=604800; Path=\/v1\/auth; HttpOnly; Secure; SameSite=Strict$/);
  assert.doesNotMatch(login.text, /rt_/);
  const [asked] = services.requestsOf<LoginRequest>('login');
  assert.deepEqual(asked?.origin, { address: '127.0.0.1', userAgent: 'a browser' });
  assert.equal(asked?.issuer, gateway.url);

  const refreshed = await gateway.call('POST', '/v1/auth/refresh', { headers: { cookie: `other=1; ${cookie.split(';')[0]}; more=2` } });
  assert.equal(refreshed.status, 200);
  assert.equal(services.requestsOf<RefreshRequest>('refresh')[0]?.refreshToken, `rt_${'r'.repeat(43)}`);
  assert.ok(refreshed.headers['set-cookie']?.[0]?.startsWith('maildoot_refresh=rt_'));

  assert.equal((await gateway.call('POST', '/v1/auth/refresh')).code, 'MISSING_TOKEN');
  services.instead('refresh', () => {
    throw errors.INVALID_TOKEN({ message: 'over' });
  });
  const over = await gateway.call('POST', '/v1/auth/refresh', { headers: { cookie: 'maildoot_refresh=rt_x' } });
  assert.deepEqual([over.status, over.code], [401, 'INVALID_TOKEN']);
  assert.match(over.headers['set-cookie']?.[0] ?? '', /^maildoot_refresh=; Max-Age=0;/);
});

test('whoever refreshes with tokens that are none is told to wait, and auth is not asked', async () => {
  await using world = await setup();
  const { services, gateway } = world;
  services.instead('refresh', () => {
    throw errors.INVALID_TOKEN({ message: 'over' });
  });
  const refresh = () => gateway.call('POST', '/v1/auth/refresh', { headers: { cookie: 'maildoot_refresh=rt_x' } });
  let answer = await refresh();
  for (let count = 0; count < 200 && answer.status === 401; count++) answer = await refresh();
  assert.deepEqual([answer.status, answer.code], [429, 'RATE_LIMITED']);
  assert.match(String(answer.headers['retry-after']), /^[1-9][0-9]*$/);
  assert.ok(services.requestsOf('refresh').length >= 60, 'people who come back late are not told so');
  // One more may go every two seconds.
  let asked = 0;
  for (let tries = 0; tries === 0 || (answer.status === 401 && tries < 20); tries++) {
    asked = services.requestsOf('refresh').length;
    answer = await refresh();
  }
  assert.equal(answer.status, 429, 'nobody is told to wait any more');
  assert.equal(services.requestsOf('refresh').length, asked);
});

test('logging out ends this session and takes the cookie', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const { token, id, userId } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_VIEWER });
  const { status, headers } = await gateway.call('POST', '/v1/auth/logout', { key: token });
  assert.equal(status, 204);
  assert.match(headers['set-cookie']?.[0] ?? '', /Max-Age=0/);
  assert.deepEqual(services.requestsOf('endSessions'), [{ userId, sessionId: id, keepSessionId: '', address: '127.0.0.1' }]);
});

test('auth is told where from whatever it writes down itself comes', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const key = tenant.keys.full;
  const { token } = await services.people.session(gateway.url, { tenantId: tenant.id, role: Role.ROLE_OWNER });
  const made = { name: 'ci', scope: 'read' };
  for (const [asks, method, path, body, credential] of [
    ['createApiKey', 'POST', '/v1/api-keys', made, key],
    ['revokeApiKey', 'DELETE', `/v1/api-keys/${tenant.keyId}`, undefined, key],
    ['inviteMember', 'POST', '/v1/team/members', { email: 'bob@example.com', role: 'viewer' }, key],
    ['removeMember', 'DELETE', `/v1/team/members/${tenant.memberId}`, undefined, key],
    ['createSmtpUser', 'POST', '/v1/user-settings/smtp-users', { username: 'shop' }, key],
    ['resetSmtpPassword', 'POST', `/v1/user-settings/smtp-users/${tenant.smtpUserId}/reset-password`, undefined, key],
    ['deleteSmtpUser', 'DELETE', `/v1/user-settings/smtp-users/${tenant.smtpUserId}`, undefined, key],
    ['endSessions', 'DELETE', `/v1/auth/sessions/${newId('ses')}`, undefined, token],
    ['endSessions', 'DELETE', '/v1/auth/sessions?keep_current=true', undefined, token],
    ['endSessions', 'POST', '/v1/auth/logout', undefined, token],
  ] as const) {
    const before = services.requestsOf(asks).length;
    await gateway.call(method, path, { key: credential, ...(body && { body }), expectFailure: true });
    assert.deepEqual(
      services
        .requestsOf<{ address?: string }>(asks)
        .slice(before)
        .map(({ address }) => address),
      ['127.0.0.1'],
      `${method} ${path}`,
    );
  }
});

test('the public keys are served as a JWK set, nothing private in it', async () => {
  await using world = await setup();
  const { services, gateway } = world;
  const { json, headers } = await gateway.call('GET', '/.well-known/jwks.json');
  const [published] = services.people.keys;
  assert.deepEqual(json, { keys: [{ kty: 'RSA', use: 'sig', alg: 'RS256', ...published?.published }] });
  assert.equal(headers['cache-control'], 'public, max-age=60');
});

test('the page that links lead to keeps the token out of every request but its own', async () => {
  await using world = await setup();
  const { text, headers } = await world.gateway.call('GET', '/password');
  assert.match(String(headers['content-security-policy']), /script-src 'sha256-/);
  assert.match(text, /location\.hash/);
  assert.doesNotMatch(text, /innerHTML|location\.search/);
});

test('by a personal access token somebody acts as themselves; by a key as the account, whose user auth knows', async () => {
  await using world = await setup();
  const { services, gateway, tenant } = world;
  const userId = newId('usr');
  const token = services.addToken({ tenantId: tenant.id, role: Role.ROLE_MEMBER, userId });
  const created = await gateway.call('POST', '/v1/api-keys', { key: token, body: { name: 'ci', scope: 'read' } });
  assert.equal(created.status, 201);
  const [made] = services.requestsOf<CreateApiKeyRequest>('createApiKey');
  assert.deepEqual([made?.actorId, made?.callerRole], [userId, Role.ROLE_MEMBER]);

  const me = await gateway.call('GET', '/v1/user/me', { key: token });
  assert.deepEqual(Object.keys(me.json as object), ['id', 'email', 'created_at', 'is_gcdt_enabled', 'is_blocked']);
  const { json } = await gateway.call('GET', '/v1/user/settings', { key: token });
  const { created_at, ...shown } = (json as { auth_pat: Record<string, unknown> }).auth_pat;
  assert.deepEqual(shown, { user_id: 17, name: 'auth_pat', value: `pat_${'t'.repeat(43)}`, expires_at: null });
  assert.ok(Date.parse(String(created_at)) > 0);
  services.instead('getPersonalAccessToken', () => ({ token: undefined }));
  assert.deepEqual((await gateway.call('GET', '/v1/user/settings', { key: tenant.keys.full })).json, { auth_pat: null });

  for (const key of [token, tenant.keys.full])
    assert.equal((await gateway.call('POST', '/v1/user/regenerate_auth_pat', { key })).status, 204);
  const keyId = services.requestsOf<GetPersonalAccessTokenRequest>('getPersonalAccessToken').at(-1)?.actorId ?? '';
  assert.match(keyId, /^key_/);
  const who = services
    .requestsOf<RegeneratePersonalAccessTokenRequest>('regeneratePersonalAccessToken')
    .map((asked) => [asked.userId, asked.actorId, asked.address]);
  assert.deepEqual(who, [
    [userId, userId, '127.0.0.1'],
    ['', keyId, '127.0.0.1'],
  ]);
  const idempotent = { headers: { 'idempotency-key': 'once' } };
  services.instead('regeneratePersonalAccessToken', () => ({ replayed: true }));
  const again = await gateway.call('POST', '/v1/user/regenerate_auth_pat', { key: token, ...idempotent });
  assert.deepEqual([again.status, again.headers['idempotent-replayed']], [204, 'true']);
});
