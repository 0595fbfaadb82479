/** What belongs to somebody else answers, byte for byte but for the request id, like what never existed. Rows come from the served OpenAPI document. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Call, client, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

interface Operation {
  method: string;
  path: string;
}

let platform: Platform;
let owner: Call;
let stranger: Call;
/** One real thing of the owner's for each path parameter, and one of the same form that never existed. */
const things: Record<string, { real: string; never: string }> = {};

before(async () => {
  platform = await startPlatform();
  owner = platform.call;
  stranger = client(platform.api, (await createTenant(platform, 'stranger@example.net')).key);

  const message = await owner<{ id: string }>('POST', '/v1/messages', {
    from: 'a@mine.example',
    to: 'b@example.org',
    subject: 'Mine',
    text: 'Hello',
  });
  assert.equal(message.status, 202);
  const mail = await owner<{ data: { id: string }[] }>('GET', `/v1/test/inbox?message_id=${message.body.id}&wait=20`);
  const key = await owner<{ id: string }>('POST', '/v1/api-keys', { name: 'mine', scope: 'read' });
  const domain = await owner<{ domain: string }>('POST', '/v1/user-settings/domains', { domain: 'mine.example' });
  assert.equal(domain.status, 201);
  things['messages/{id}'] = { real: message.body.id, never: neverExisted(message.body.id) };
  things['api-keys/{id}'] = { real: key.body.id, never: neverExisted(key.body.id) };
  things['domains/{domain}'] = { real: 'mine.example', never: 'none.example' };
  things['inbox/{id}'] = { real: mail.body.data[0]?.id ?? '', never: neverExisted(mail.body.data[0]?.id ?? '') };
});
after(async () => {
  await platform[Symbol.asyncDispose]();
});

test('every operation on one thing answers a stranger like a thing that never existed', async () => {
  const asked: string[] = [];
  for (const { method, path } of await operationsWithAnId()) {
    const thing = thingOf(path);
    const [real, never] = await Promise.all([thing.real, thing.never].map((id) => stranger(method, path.replace(/\{[^}]+\}/, id))));
    assert.ok(real && never);
    assert.equal(real.status, 404, `${method} ${path} answers ${real.status} to a stranger`);
    assert.equal(comparable(real.body, thing.real), comparable(never.body, thing.never), `${method} ${path}`);
    assert.deepEqual(headerNames(real.headers), headerNames(never.headers), `${method} ${path}`);
    asked.push(`${method} ${path}`);
  }
  assert.ok(asked.length >= 8, `only ${asked.length} operations take an id`);
});

test('lists show a stranger nothing, and a cursor of the owner’s leads nowhere', async () => {
  for (let more = 0; more < 2; more++) await owner('POST', '/v1/messages', { from: 'a@mine.example', to: 'b@example.org', text: 'More' });
  for (const path of ['/v1/messages', '/v1/events', '/v1/user-settings/domains', '/v1/test/inbox']) {
    assert.deepEqual((await stranger<{ data: unknown[] }>('GET', path)).body.data, [], path);
  }
  const { body } = await owner<{ next_cursor: string }>('GET', '/v1/messages?limit=1');
  const page = await stranger<{ data: unknown[] }>('GET', `/v1/messages?cursor=${encodeURIComponent(body.next_cursor)}`);
  assert.deepEqual(page.body.data, []);
  const events = await owner<{ data: { seq: number }[] }>('GET', '/v1/events?limit=1');
  const behind = await stranger<{ data: unknown[] }>(
    'GET',
    `/v1/events?after=${(events.body.data[0]?.seq ?? assert.fail('the owner has events')) - 1}`,
  );
  assert.deepEqual(behind.body.data, []);
  const keys = await stranger<{ data: { name: string }[] }>('GET', '/v1/api-keys');
  assert.ok(!keys.body.data.some((key) => key.name === 'mine'));
});

test('an idempotency key of the owner’s means nothing to a stranger', async () => {
  const body = { from: 'a@both.example', to: 'b@example.org', text: 'Same' };
  const [mine, theirs] = await Promise.all(
    [owner, stranger].map((call) => call<{ id: string }>('POST', '/v1/messages', body, { 'idempotency-key': 'the-same' })),
  );
  assert.equal(mine?.status, 202);
  assert.equal(theirs?.status, 202);
  assert.notEqual(mine?.body.id, theirs?.body.id);
  assert.equal(theirs?.headers.get('idempotent-replayed'), null);
});

async function operationsWithAnId(): Promise<Operation[]> {
  const { body } = await owner<{ paths: Record<string, Record<string, unknown>> }>('GET', '/v1/openapi.json');
  return Object.entries(body.paths)
    .filter(([path]) => path.includes('{'))
    .flatMap(([path, item]) =>
      Object.keys(item).map((method) => ({ method: method.toUpperCase(), path: path.startsWith('/v1') ? path : `/v1${path}` })),
    );
}

/** A new operation on a new kind of thing fails here until the table above knows one. */
function thingOf(path: string): { real: string; never: string } {
  const found = Object.entries(things).find(([part]) => path.includes(part));
  assert.ok(found, `${path}: this scenario knows no such thing yet; add one to its table`);
  return found[1];
}

/** The same form and age, another random part. */
function neverExisted(id: string): string {
  return `${id.slice(0, -6)}${id.slice(-6) === '000000' ? '111111' : '000000'}`;
}

function comparable(body: unknown, id: string): string {
  const { error } = body as { error: { request_id: string } };
  return JSON.stringify({ error: { ...error, request_id: 'req' } }).replaceAll(id, 'ID');
}

function headerNames(headers: Headers): string[] {
  return [...headers.keys()].sort();
}
