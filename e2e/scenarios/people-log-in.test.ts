/** A person: the link that the start prints, a password, a session that works at every door and ends at every door; suspension; quotas. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { operator } from '../operator.ts';
import { client, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

let platform: Platform;
before(async () => {
  platform = await startPlatform();
});
after(() => platform[Symbol.asyncDispose]());

const password = 'correct horse battery staple';

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${platform.api}${path}`, {
    method: 'POST',
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '',
    body: (text ? JSON.parse(text) : {}) as Record<string, string>,
  };
}

async function choosePassword(link: string): Promise<void> {
  const token = new URLSearchParams(new URL(link).hash.slice(1)).get('token') ?? '';
  assert.equal((await fetch(link)).status, 200);
  assert.equal((await post('/v1/auth/password/reset/complete', { token, new_password: password })).status, 204);
}

/** At every door. */
const statuses = (token: string, method = 'GET', path = '/v1/api-keys', body?: unknown) =>
  Promise.all(platform.gateways.map(async (api) => (await client(api, token)(method, path, body)).status));
const all = (status: number) => platform.gateways.map(() => status);

test('the first user: the printed link, a password, a session, its end at every door', async () => {
  const link = await waitFor(() => /http\S+\/password#token=\S+/.exec(platform.output())?.[0], { what: 'the link' });
  await choosePassword(link);
  const login = await post('/v1/auth/login', { email: 'owner@localhost.localdomain', password });
  assert.equal(login.status, 200, JSON.stringify(login.body));
  const token = login.body.access_token ?? '';
  assert.deepEqual(await statuses(token), all(200));

  const refreshed = await post('/v1/auth/refresh', undefined, { cookie: login.cookie });
  assert.equal(refreshed.status, 200);
  assert.deepEqual(await statuses(refreshed.body.access_token ?? ''), all(200));
  assert.equal((await client(platform.api, token)('POST', '/v1/auth/logout')).status, 204);
  const endedAt = performance.now();
  await waitFor(async () => (await statuses(token)).every((status) => status === 401), {
    what: 'the session to end everywhere',
    intervalMs: 5,
  });
  assert.ok(performance.now() - endedAt < 10_000, 'the 5 s, and what a busy machine needs');
  assert.equal((await post('/v1/auth/refresh', undefined, { cookie: refreshed.cookie })).status, 401);
});

test('a cookie that comes a second time ends the session everywhere', async () => {
  const { email, link } = await tenant('reuse');
  await choosePassword(link);
  const login = await post('/v1/auth/login', { email, password });
  const next = await post('/v1/auth/refresh', undefined, { cookie: login.cookie });
  assert.deepEqual(await statuses(next.body.access_token ?? ''), all(200));
  assert.equal((await post('/v1/auth/refresh', undefined, { cookie: login.cookie })).status, 401);
  await waitFor(async () => (await statuses(next.body.access_token ?? '')).every((status) => status === 401), {
    what: 'the session to end',
  });
});

test('a suspended tenant may look and do nothing until it is released', async () => {
  const { id, key } = await tenant('suspended');
  const message = { from: 'a@shop.example', to: 'b@example.com', subject: 'hello', text: 'Hello!' };
  assert.deepEqual(await statuses(key), all(200));
  await operator(platform, 'suspend', id, '--reason', 'spam');
  await waitFor(async () => (await statuses(key, 'POST', '/v1/messages', message)).every((status) => status === 403), {
    what: '403 at every door',
    timeoutMs: 20_000,
  });
  assert.deepEqual(await statuses(key), all(200));
  await operator(platform, 'release', id);
  await waitFor(async () => (await statuses(key, 'POST', '/v1/messages', message)).every((status) => status === 202), {
    what: '202 at every door',
    timeoutMs: 20_000,
  });
});

test('a day’s quota holds over all doors', async () => {
  const { id, key } = await tenant('quota');
  const quota = 10;
  await operator(platform, 'quotas', id, '--messages-per-day', String(quota));
  const message = { from: 'a@shop.example', to: 'b@example.com', subject: 'hello', text: 'Hello!' };
  const answers = (await Promise.all(Array.from({ length: 12 }, () => statuses(key, 'POST', '/v1/messages', message)))).flat();
  const accepted = answers.filter((status) => status === 202).length;
  assert.ok(
    answers.every((status) => status === 202 || status === 402),
    answers.join(' '),
  );
  assert.ok(accepted <= quota && accepted > 0, `${accepted} of ${answers.length}`);
});

async function tenant(name: string): Promise<{ id: string; key: string; email: string; link: string }> {
  const email = `${name}@tenant.example`;
  const made = (await createTenant(platform, email)) as { tenant_id: string; key: string; password_link: string };
  return { id: made.tenant_id, key: made.key, email, link: made.password_link };
}
