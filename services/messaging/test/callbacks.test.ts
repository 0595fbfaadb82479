// Callbacks: what is told, how it is signed, and what each answer does. The receiver is another process that verifies with the official
// library of Standard Webhooks.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import {
  type CallbackAttempt,
  CallbackDisabledReason,
  CallbackOutcome,
  type DeepPartial,
  UpdateCallbackRequest,
} from '@maildoot/proto/maildoot/messaging/v1/callback';
import type { FeedEvent } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type IdPrefix, idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { type Receiver, startReceiver } from '@maildoot/testkit/webhook-receiver';
import { feedEventJson } from '@maildoot/webhooks/event-json';
import { feedRows, positionAt, timeOfPosition } from '../src/feed.ts';
import { tellFeed } from '../src/store/feed.ts';
import { everything } from './feed-load.ts';
import { createWorld, hashOf, rpcError, type World } from './world.ts';

let world: World;
let receiver: Receiver;
before(async () => {
  receiver = await startReceiver();
  world = await createWorld({ env: { CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8,::1/128' } });
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

const uuidOf = (id: string) => idToUuid(id.slice(0, 3) as IdPrefix, id)!;

let paths = 0;
const newPath = () => `p${++paths}`;

function newTenant(): string {
  const tenantId = newId('ten');
  world.verified.add(`${tenantId} sender.example`);
  return tenantId;
}

async function register(tenantId: string, path: string, events: string[] = []) {
  const { callback, secret } = await world.callbacks.createCallback(
    { url: receiver.url(path), events, description: 'x', repeatable: undefined },
    { tenantId },
  );
  await receiver.behave(path, { secrets: [secret] });
  return { id: callback!.id, secret };
}

async function deliveredMessage(tenantId: string): Promise<string> {
  const { id } = await world.acceptOne({ tags: ['order'], metadata: { order: '7' } }, {}, tenantId);
  const at = new Date();
  await world.tellAttempts({
    messageId: id,
    tenantId,
    recipientNumber: 0,
    recipient: 'a@rcpt.example',
    attempt: 1,
    outcome: Outcome.OUTCOME_DELIVERED,
    queuedAt: at,
    startedAt: at,
    finishedAt: at,
  });
  return id;
}

const seen = (path: string, count: number) =>
  waitFor(
    async () => {
      const list = await receiver.seen(path);
      return list.length >= count && list;
    },
    { what: `${count} webhooks at ${path}` },
  );

const attemptsOf = async (tenantId: string, id: string): Promise<CallbackAttempt[]> =>
  (await world.callbacks.listCallbackAttempts({ id, limit: 100, afterId: '', eventId: '' }, { tenantId })).attempts;

const update = (tenantId: string, change: DeepPartial<UpdateCallbackRequest>) =>
  world.callbacks.updateCallback(UpdateCallbackRequest.fromPartial(change), { tenantId });

const callbackOf = async (tenantId: string, id: string) => (await world.callbacks.getCallback({ id }, { tenantId })).callback!;

it('a message’s events arrive signed, as the feed shows them, each under its own id', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id } = await register(tenantId, path);
  const messageId = await deliveredMessage(tenantId);
  const came = await seen(path, 3);
  assert.deepEqual(came.map(({ type }) => type).sort(), ['message.accepted', 'message.delivered', 'message.queued']);
  for (const one of came) {
    assert.deepEqual(one.verified, [true], one.type);
    assert.equal(one.signatures, 1);
  }
  const feed = (await everything(world, tenantId)).map((event) => JSON.stringify(feedEventJson(event)));
  assert.deepEqual(came.map(({ body }) => body).sort(), feed.sort());
  assert.deepEqual(came.map((one) => one.id).sort(), feed.map((text) => (JSON.parse(text) as { id: string }).id).sort());

  const attempts = await waitFor(async () => (await attemptsOf(tenantId, id)).length === 3 && (await attemptsOf(tenantId, id)), {
    what: 'the attempts',
  });
  for (const attempt of attempts) {
    assert.equal(attempt.outcome, CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED);
    assert.deepEqual([attempt.httpStatus, attempt.detail, attempt.number, attempt.messageId], [200, 'thank you', 1, messageId]);
  }
});

it('patterns choose; events that are about no message come like the others', async () => {
  const tenantId = newTenant();
  const [chosen, other] = [newPath(), newPath()];
  await register(tenantId, chosen, ['domain.*', 'message.delivered']);
  await register(tenantId, other, ['callback.disabled']);
  await deliveredMessage(tenantId);
  const event = { id: newId('evt'), type: 'domain.verified', at: new Date(), dataJson: Buffer.from('{"domain":"sender.example"}') };
  for (const appended of [true, false]) assert.equal((await world.tenantEvents.appendTenantEvent(event, { tenantId })).appended, appended);
  const came = await seen(chosen, 2);
  assert.deepEqual(came.map(({ type }) => type).sort(), ['domain.verified', 'message.delivered']);
  const domain = came.find(({ type }) => type === 'domain.verified')!;
  assert.deepEqual([domain.id, (JSON.parse(domain.body) as { data: unknown }).data], [event.id, { domain: 'sender.example' }]);
  // What was told before the other's are here is told by now.
  assert.deepEqual(await receiver.seen(other), []);
  for (const bad of [
    { ...event, type: 'message.delivered' },
    { ...event, id: 'evt_1' },
    { ...event, dataJson: Buffer.from('[1]') },
    { ...event, dataJson: Buffer.from('{') },
  ])
    await assert.rejects(world.tenantEvents.appendTenantEvent(bad, { tenantId }), rpcError('VALIDATION_ERROR'));
});

it('after a rotation both secrets sign', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id, secret } = await register(tenantId, path);
  const { secret: fresh, callback } = await world.callbacks.rotateCallbackSecret({ id, repeatable: undefined }, { tenantId });
  assert.notEqual(fresh, secret);
  const day = callback!.previousSecretUntil!.getTime() - callback!.updatedAt!.getTime();
  assert.equal(day, 86_400_000);
  await receiver.behave(path, { secrets: [secret, fresh] });
  await world.callbacks.testCallback({ id, repeatable: undefined }, { tenantId });
  const [one] = await seen(path, 1);
  assert.deepEqual([one!.signatures, one!.verified], [2, [true, true]]);
});

it('a test event goes out once, to one that is disabled or fails too', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id, secret } = await register(tenantId, path, ['domain.*']);
  await update(tenantId, { id, enabled: false });
  await receiver.behave(path, { status: 500, secrets: [secret] });
  const { eventId, body } = await world.callbacks.testCallback({ id, repeatable: undefined }, { tenantId });
  const [one] = await seen(path, 1);
  assert.deepEqual([one!.id, one!.type, one!.body, one!.verified], [eventId, 'callback.test', body, [true]]);
  const attempt = await waitFor(async () => (await attemptsOf(tenantId, id))[0], { what: 'its attempt' });
  assert.deepEqual(
    [attempt.outcome, attempt.httpStatus, attempt.nextAttemptAt],
    [CallbackOutcome.CALLBACK_OUTCOME_REFUSED, 500, undefined],
  );
  assert.equal((await callbackOf(tenantId, id)).failingSince, undefined, 'a test says nothing about a callback');
});

it('a redirect is a failure and is not followed', async () => {
  const tenantId = newTenant();
  const [path, target] = [newPath(), newPath()];
  const { id } = await register(tenantId, path, ['message.delivered']);
  await receiver.behave(path, { status: 302, headers: { Location: receiver.url(target) } });
  await deliveredMessage(tenantId);
  const attempt = await waitFor(async () => (await attemptsOf(tenantId, id))[0], { what: 'the attempt' });
  assert.equal(attempt.outcome, CallbackOutcome.CALLBACK_OUTCOME_REDIRECTED);
  const pauseMs = attempt.nextAttemptAt!.getTime() - attempt.at!.getTime();
  assert.ok(pauseMs >= 5_000 && pauseMs < 8_000, `tried again after ${pauseMs} ms`);
  assert.deepEqual(await receiver.seen(target), []);
});

it('410 disables: the feed says so, other callbacks get that, a notice waits, nothing more is sent', async () => {
  const tenantId = newTenant();
  const [path, other] = [newPath(), newPath()];
  const { id } = await register(tenantId, path, ['message.delivered']);
  await register(tenantId, other, ['callback.*']);
  await receiver.behave(path, { status: 410 });
  await deliveredMessage(tenantId);
  const [told] = await seen(other, 1);
  const { data } = JSON.parse(told!.body) as { data: { callback_id: string; reason: string; url: string } };
  assert.deepEqual([data.callback_id, data.reason, data.url], [id, 'gone', receiver.url(path)]);
  const callback = await callbackOf(tenantId, id);
  assert.deepEqual([callback.enabled, callback.disabledReason], [false, CallbackDisabledReason.CALLBACK_DISABLED_REASON_GONE]);
  const { rows } = await world.database.pool.query<{ subject: string; text: string }>(
    'SELECT subject, text FROM callback_notice WHERE callback_id = $1',
    [uuidOf(id)],
  );
  assert.deepEqual(
    rows.map(({ subject }) => subject),
    ['Your webhook to 127.0.0.1 was disabled'],
  );
  // What the notice says to call sends again what it missed, the first one too.
  const missed = (await everything(world, tenantId)).find(({ event }) => event?.type === 'message.delivered')!;
  const since = new Date(/"since": "([^"]+)"/.exec(rows[0]!.text)?.[1] ?? '');
  assert.ok(positionAt(since) <= missed.seq, `${since.toISOString()} is after ${timeOfPosition(missed.seq).toISOString()}`);
  const between = await deliveredMessage(tenantId);
  const isDelivered = ({ event }: FeedEvent) => event?.type === 'message.delivered';
  await waitFor(async () => (await everything(world, tenantId)).filter(isDelivered).length === 2, {
    what: 'the second delivery to be told',
  });
  // And something that happened and has no place in the feed yet: told by a process that was killed before it could wake anybody.
  const pending = { tenantId: uuidOf(tenantId), messageId: uuidOf(between), recipientNumber: 0, attempt: 1, type: 'message.delivered' };
  await world.database.transaction((client) => tellFeed(client, feedRows([pending])));
  await update(tenantId, { id, enabled: true });
  await receiver.behave(path, {});
  const later = await deliveredMessage(tenantId);
  const came = await waitFor(
    async () => {
      const list = await receiver.seen(path);
      return list.some(({ body }) => body.includes(later)) && list;
    },
    { what: 'what happened after' },
  );
  assert.equal(came.length, 2, 'what happened in between is left for a replay');
});

it('a replay that enables leaves behind what it doesn’t ask for, also where that has no place in the feed yet', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id } = await register(tenantId, path, ['message.delivered']);
  await update(tenantId, { id, enabled: false });
  const between = await deliveredMessage(tenantId);
  const isTold = async () => (await everything(world, tenantId)).some(({ event }) => event?.type === 'message.delivered');
  await waitFor(isTold, { what: 'the delivery to be told' });
  const pending = { tenantId: uuidOf(tenantId), messageId: uuidOf(between), recipientNumber: 0, attempt: 1, type: 'message.delivered' };
  await world.database.transaction((client) => tellFeed(client, feedRows([pending])));
  const stretch = { since: new Date(1), until: new Date(2), onlyFailed: false };
  const { callback } = await world.callbacks.replayCallback({ id, ...stretch, repeatable: undefined }, { tenantId });
  assert.equal(callback?.enabled, true);
  const later = await deliveredMessage(tenantId);
  const isLater = async () => (await receiver.seen(path)).some(({ body }) => body.includes(later));
  await waitFor(isLater, { what: 'what happened after' });
  assert.equal((await receiver.seen(path)).length, 1);
});

for (const [status, isPaused] of [
  [429, true],
  [502, true],
  [504, true],
  [400, false],
  [500, false],
] as const)
  it(`Retry-After of a ${status} is kept${isPaused ? ', for all that the callback would be told' : ', for this event alone'}`, async () => {
    const tenantId = newTenant();
    const path = newPath();
    const { id } = await register(tenantId, path, ['message.delivered']);
    await receiver.behave(path, { status, headers: { 'Retry-After': '3600' } });
    await deliveredMessage(tenantId);
    const attempt = await waitFor(async () => (await attemptsOf(tenantId, id))[0], { what: 'the attempt' });
    const pauseMs = attempt.nextAttemptAt!.getTime() - attempt.at!.getTime();
    assert.ok(pauseMs >= 3_600_000 && pauseMs < 3_630_000, `tried again after ${pauseMs} ms`);
    assert.equal((await callbackOf(tenantId, id)).pausedUntil !== undefined, isPaused);
  });

it('Retry-After of a 503 holds everything back that the callback would be told', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id } = await register(tenantId, path, ['message.delivered']);
  await receiver.behave(path, { status: 503, headers: { 'Retry-After': '3600' } });
  await deliveredMessage(tenantId);
  const [attempt] = await waitFor(async () => (await attemptsOf(tenantId, id)).length > 0 && (await attemptsOf(tenantId, id)), {
    what: 'the attempt',
  });
  const pauseMs = attempt!.nextAttemptAt!.getTime() - attempt!.at!.getTime();
  assert.ok(pauseMs >= 3_600_000 && pauseMs < 3_630_000, `tried again after ${pauseMs} ms`);
  assert.ok((await callbackOf(tenantId, id)).pausedUntil !== undefined);
  await receiver.behave(path, {});
  await deliveredMessage(tenantId);
  await waitFor(
    async () =>
      (await world.database.pool.query('SELECT FROM callback_due d JOIN callback c USING (lane) WHERE c.id = $1', [uuidOf(id)]))
        .rowCount === 2,
    { what: 'the second event to be due' },
  );
  assert.equal((await receiver.seen(path)).length, 1);
});

it('an endpoint that hangs delays nobody else', async () => {
  const tenantId = newTenant();
  const [silent, well] = [newPath(), newPath()];
  await register(tenantId, silent);
  await register(tenantId, well);
  await receiver.behave(silent, { hang: true });
  for (let count = 0; count < 10; count++) await deliveredMessage(tenantId);
  await seen(well, 30);
  await seen(silent, 10);
  // Its places are taken now, and twenty events more wait for them.
  const told = newId('evt');
  const at = Date.now();
  await world.tenantEvents.appendTenantEvent(
    { id: told, type: 'domain.verified', at: new Date(), dataJson: Buffer.from('{}') },
    { tenantId },
  );
  const came = await waitFor(async () => (await receiver.seen(well)).find((one) => one.id === told), { what: 'the event at the other' });
  assert.ok(came.atMs - at < 1_000, `${came.atMs - at} ms from the call to the other endpoint`);
  assert.equal((await receiver.seen(silent)).length, 10, 'no more than its places');
});

it('addresses inside are refused when a callback is saved, however they are written', async () => {
  const tenantId = newTenant();
  const create = (url: string) => world.callbacks.createCallback({ url, events: [], description: '', repeatable: undefined }, { tenantId });
  for (const url of [
    'https://10.0.0.1/',
    'https://192.168.1.1:8443/x',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fe80::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[fd00::1]/',
    'https://0x0a.0.0.1/',
    'https://167772161/',
    'https://100.64.0.1/',
    'https://user:secret@8.8.8.8/',
    'ftp://127.0.0.1/',
    'no address',
    'http://8.8.8.8/',
  ])
    await assert.rejects(create(url), rpcError('VALIDATION_ERROR'), url);
  await create('https://8.8.8.8/');
  await create(`http://localhost:${receiver.port}/hook/local`);
  const { callback } = await create('https://8.8.8.8/');
  await assert.rejects(update(tenantId, { id: callback!.id, url: 'https://10.0.0.1/' }), rpcError('VALIDATION_ERROR'));
});

it('another tenant’s callback is none', async () => {
  const tenantId = newTenant();
  const { id } = await register(tenantId, newPath());
  const stranger = { tenantId: newId('ten') };
  const repeatable = undefined;
  for (const call of [
    () => world.callbacks.getCallback({ id }, stranger),
    () => update(stranger.tenantId, { id, enabled: false, url: 'https://10.0.0.1/' }),
    () => world.callbacks.deleteCallback({ id }, stranger),
    () => world.callbacks.testCallback({ id, repeatable }, stranger),
    () => world.callbacks.rotateCallbackSecret({ id, repeatable }, stranger),
    () => world.callbacks.listCallbackAttempts({ id, limit: 1, afterId: '', eventId: '' }, stranger),
    () => world.callbacks.replayCallback({ id, since: new Date(1), until: undefined, onlyFailed: false, repeatable }, stranger),
  ])
    await assert.rejects(call(), rpcError('NOT_FOUND'));
  assert.deepEqual((await world.callbacks.listCallbacks({ limit: 10, afterId: '' }, stranger)).callbacks, []);
  assert.equal((await callbackOf(tenantId, id)).enabled, true);
});

it('the same request with the same key makes one callback and shows the same secret; it rests sealed', async () => {
  const tenantId = newTenant();
  const request = (hash: string) => ({
    url: receiver.url('once'),
    events: [],
    description: '',
    repeatable: { idempotencyKey: 'k', requestSha256: hashOf(hash) },
  });
  const first = await world.callbacks.createCallback(request('a'), { tenantId });
  const again = await world.callbacks.createCallback(request('a'), { tenantId });
  assert.deepEqual([again.replayed, again.secret, again.callback?.id], [true, first.secret, first.callback?.id]);
  await assert.rejects(world.callbacks.createCallback(request('b'), { tenantId }), rpcError('IDEMPOTENCY_MISMATCH'));
  const key = Buffer.from(first.secret.slice('whsec_'.length), 'base64');
  for (const table of ['callback', 'idempotency_record']) {
    const { rows } = await world.database.pool.query<{ text: string }>(`SELECT t::text AS text FROM ${table} t WHERE tenant_id = $1`, [
      uuidOf(tenantId),
    ]);
    const text = rows.map((row) => row.text).join();
    for (const marker of [first.secret, key.toString('hex'), Buffer.from(first.secret).toString('hex')])
      assert.ok(rows.length > 0 && !text.includes(marker), `${table} has the secret`);
  }
  assert.ok(!world.logs.text.includes(first.secret.slice(6)), 'no log has it');
});

it('a replay from long before there was a feed is one from its beginning', async () => {
  const tenantId = newTenant();
  const { id } = await register(tenantId, newPath());
  const longAgo = { since: new Date('0401-01-20T21:00:54Z'), until: new Date('1922-05-25T09:15:56Z') };
  for (const stretch of [longAgo, { ...longAgo, until: undefined }]) {
    const { since } = await world.callbacks.replayCallback({ id, ...stretch, onlyFailed: false, repeatable: undefined }, { tenantId });
    assert.equal(since?.getTime(), 1);
  }
});

/** How many are refused with CONFLICT; none in another way. */
async function conflictsOf(asked: readonly Promise<unknown>[]): Promise<number> {
  const refused = (await Promise.allSettled(asked)).filter((one) => one.status === 'rejected');
  for (const { reason } of refused) await assert.rejects(Promise.reject(reason), rpcError('CONFLICT'));
  return refused.length;
}

it('of many who replay at the same time five are let in, until one of the replays is through', async () => {
  const { pool } = world.database;
  const tenantId = newTenant();
  const path = newPath();
  const { id } = await register(tenantId, path);
  await deliveredMessage(tenantId);
  await seen(path, 3);
  // With so much overdue no replay goes on.
  await pool.query("UPDATE callback SET paused_until = now() + interval '1 hour' WHERE id = $1", [uuidOf(id)]);
  await pool.query(
    `INSERT INTO callback_due (lane, event_id, about_id, recipient_number, type, test, attempts, due_at, body)
     SELECT lane, gen_random_uuid(), gen_random_uuid(), 0, 'x', false, 0, now() - interval '1 hour', '' FROM callback, generate_series(1, 1000)
     WHERE id = $1`,
    [uuidOf(id)],
  );
  const replay = () =>
    world.callbacks.replayCallback({ id, since: new Date(1), until: undefined, onlyFailed: false, repeatable: undefined }, { tenantId });
  assert.equal(await conflictsOf(Array.from({ length: 8 }, replay)), 3);
  await pool.query('DELETE FROM callback_replay WHERE id IN (SELECT id FROM callback_replay WHERE callback_id = $1 LIMIT 1)', [uuidOf(id)]);
  assert.equal(await conflictsOf([replay()]), 0);
});

it('of many who make the last callback at the same time one does', async () => {
  const tenantId = newTenant();
  const create = () =>
    world.callbacks.createCallback(
      { url: receiver.url('many'), events: ['domain.*'], description: '', repeatable: undefined },
      { tenantId },
    );
  for (let count = 0; count < 49; count++) await create();
  assert.equal(await conflictsOf(Array.from({ length: 6 }, create)), 5);
});

it('a replay sends a stretch of the feed again under the same ids; only_failed leaves out what was taken', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const since = new Date(Date.now() - 1_000);
  const { id } = await register(tenantId, path);
  await deliveredMessage(tenantId);
  const first = (await seen(path, 3)).map((one) => one.id).sort();
  await waitFor(async () => (await attemptsOf(tenantId, id)).length === 3, { what: 'the attempts' });
  const replay = (onlyFailed: boolean, from = since) =>
    world.callbacks.replayCallback({ id, since: from, until: undefined, onlyFailed, repeatable: undefined }, { tenantId });
  const done = () =>
    waitFor(
      async () => {
        const { rows } = await world.database.pool.query<{ left: number }>(
          `SELECT ((SELECT count(*) FROM callback_replay WHERE callback_id = $1)
             + (SELECT count(*) FROM callback_due d JOIN callback c USING (lane) WHERE c.id = $1))::int AS left`,
          [uuidOf(id)],
        );
        return rows[0]!.left === 0;
      },
      { what: 'the replay to be done' },
    );
  await replay(true);
  await done();
  assert.equal((await receiver.seen(path)).length, 3, 'there is nothing that was not taken');
  await replay(false);
  const again = (await seen(path, 6)).slice(3).map((one) => one.id);
  assert.deepEqual(again.sort(), first);
  await done();
  assert.equal((await receiver.seen(path)).length, 6);
  await assert.rejects(replay(false, new Date(Date.now() + 60_000)), rpcError('VALIDATION_ERROR'));
});

it('what a dead process had claimed is told again under the same id, and the attempt is kept as interrupted', async () => {
  const tenantId = newTenant();
  const path = newPath();
  const { id } = await register(tenantId, path, ['domain.*']);
  const dead = '019ac000-0000-7000-8000-000000000001';
  await update(tenantId, { id, enabled: true });
  await receiver.behave(path, { status: 500 });
  await world.tenantEvents.appendTenantEvent(
    { id: newId('evt'), type: 'domain.drifted', at: new Date(), dataJson: Buffer.from('{}') },
    { tenantId },
  );
  await seen(path, 1);
  await receiver.behave(path, {});
  const { pool } = world.database;
  await waitFor(async () => (await attemptsOf(tenantId, id)).length === 1, { what: 'the failed attempt' });
  await pool.query('INSERT INTO callback_worker (id, seen_at) VALUES ($1, now())', [dead]);
  const { rowCount } = await pool.query(
    'UPDATE callback_due d SET claimed_by = $1, due_at = $3 FROM callback c WHERE c.lane = d.lane AND c.id = $2 AND claimed_by IS NULL',
    [dead, uuidOf(id), new Date()],
  );
  assert.equal(rowCount, 1);
  await pool.query("UPDATE callback_worker SET seen_at = now() - interval '11 seconds' WHERE id = $1", [dead]);
  const [failed, told] = await seen(path, 2);
  assert.equal(told!.id, failed!.id);
  const outcomes = await waitFor(
    async () => {
      const attempts = await attemptsOf(tenantId, id);
      return attempts.length === 3 && attempts.map((attempt) => attempt.outcome);
    },
    { what: 'all attempts' },
  );
  assert.deepEqual(outcomes, [
    CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED,
    CallbackOutcome.CALLBACK_OUTCOME_INTERRUPTED,
    CallbackOutcome.CALLBACK_OUTCOME_REFUSED,
  ]);
});

it('a message’s timeline tells what callbacks were told', async () => {
  const tenantId = newTenant();
  const { id } = await register(tenantId, newPath());
  const messageId = await deliveredMessage(tenantId);
  const attempts = await waitFor(
    async () => {
      const { callbackAttempts } = await world.timeline(messageId, tenantId);
      return callbackAttempts.length === 3 && callbackAttempts;
    },
    { what: 'three attempts in the timeline' },
  );
  assert.deepEqual(attempts.map((attempt) => [attempt.eventType, attempt.recipientNumber, attempt.callbackId]).sort(), [
    ['message.accepted', -1, id],
    ['message.delivered', 0, id],
    ['message.queued', 0, id],
  ]);
});
