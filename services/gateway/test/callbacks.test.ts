// The routes of callbacks: what they ask messaging, and what they say of a request that can't be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sampleSecret } from './fake-callbacks.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;
before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

const path = '/v1/user-settings/callbacks';
const call = (method: string, at: string, body?: unknown, headers: Record<string, string> = {}) =>
  gateway.call(method, at, { key: tenant.keys.full, ...(body === undefined ? {} : { body }), headers });
const asked = (rpc: string) => services.asked.filter((one) => one.rpc === rpc).at(-1)?.request as Record<string, unknown>;

test('the secret stands in the answers that make one, and in no other', async () => {
  const made = await call('POST', path, { url: 'https://example.com/hook' });
  assert.equal(made.status, 201);
  const { id, secret, events } = made.json as { id: string; secret: string; events: string[] };
  assert.deepEqual([secret, events], [sampleSecret, ['*']]);
  const rotated = await call('POST', `${path}/${id}/rotate-secret`);
  assert.equal((rotated.json as { secret: string }).secret, sampleSecret);
  for (const [method, at, body] of [
    ['GET', path],
    ['GET', `${path}/${id}`],
    ['PATCH', `${path}/${id}`, { enabled: false }],
    ['GET', `${path}/${id}/attempts`],
    ['POST', `${path}/${id}/test`],
    ['POST', `${path}/${id}/replay`, { since: '2026-01-31T08:00:00Z' }],
  ] as const) {
    const answer = await call(method, at, body);
    assert.equal(answer.status, 200, `${method} ${at}`);
    assert.ok(!JSON.stringify(answer.json).includes(sampleSecret), `${method} ${at}`);
  }
});

test('every problem of a request is told at once, with the event that was meant', async () => {
  const { status, json } = await call('POST', path, {
    url: 'example.com',
    events: ['mesage.delivered', 'message.*', 'message'],
    secret: 'x',
  });
  assert.equal(status, 400);
  const { issues } = (json as { error: { issues: { path: string; code: string; message: string }[] } }).error;
  assert.deepEqual(issues.map((issue) => [issue.path, issue.code]).sort(), [
    ['events[0]', 'unknown_event'],
    ['events[2]', 'unknown_event'],
    ['secret', 'unknown_field'],
    ['url', 'invalid_url'],
  ]);
  assert.match(issues.find((issue) => issue.path === 'events[0]')?.message ?? '', /Do you mean message\.delivered\?/);
});

test('filters and idempotency keys reach messaging', async () => {
  const { callbackId } = tenant;
  await call('GET', `${path}/${callbackId}/attempts?limit=5&succeeded=false&event_id=evt_x`);
  const { limit, succeeded, eventId } = asked('listCallbackAttempts');
  assert.deepEqual([limit, succeeded, eventId], [5, false, 'evt_x']);
  for (const [rpc, at, body] of [
    ['createCallback', path, { url: 'https://example.com/' }],
    ['testCallback', `${path}/${callbackId}/test`, undefined],
    ['rotateCallbackSecret', `${path}/${callbackId}/rotate-secret`, undefined],
    ['replayCallback', `${path}/${callbackId}/replay`, { since: '2026-01-31T08:00:00Z' }],
  ] as const) {
    await call('POST', at, body, { 'Idempotency-Key': 'k1' });
    const { repeatable } = asked(rpc) as { repeatable: { idempotencyKey: string; requestSha256: Uint8Array } };
    assert.deepEqual([repeatable.idempotencyKey, repeatable.requestSha256.length], ['k1', 32], rpc);
    await call('POST', at, body);
    assert.equal(asked(rpc).repeatable, undefined, rpc);
  }
});
