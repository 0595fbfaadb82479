// Callbacks over days, by the test's clock: the plan of attempts, three days down, a week down, and the end of a rotation.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, it } from 'node:test';
import { CallbackDisabledReason } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { type Receiver, startReceiver } from '@maildoot/testkit/webhook-receiver';
import { pausesMs } from '../src/callbacks/retry-plan.ts';
import { createWorld, type World } from './world.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const events = 20;

let world: World;
let receiver: Receiver;
let clock: TestClock;
beforeEach(async () => {
  clock = new TestClock();
  receiver = await startReceiver();
  world = await createWorld({ clock, env: { CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8' } });
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

async function register(tenantId: string, path: string) {
  const { callback, secret } = await world.callbacks.createCallback(
    { url: receiver.url(path), events: ['domain.*'], description: '', repeatable: undefined },
    { tenantId },
  );
  return { id: callback!.id, secret };
}

async function happen(tenantId: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newId('evt'));
  for (const id of ids)
    await world.tenantEvents.appendTenantEvent({ id, type: 'domain.drifted', at: clock.now(), dataJson: Buffer.from('{}') }, { tenantId });
  return ids;
}

/** Until each of these events has been tried so often. */
async function tried(id: string, ids: readonly string[], times: number): Promise<void> {
  await waitFor(
    async () => {
      const { rows } = await world.database.pool.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM (SELECT FROM callback_attempt WHERE callback_id = $1 AND event_id = ANY($2::uuid[])
         GROUP BY event_id HAVING count(*) = $3) AS done`,
        [idToUuid('cbk', id), ids.map((one) => idToUuid('evt', one)), times],
      );
      return rows[0]!.count === ids.length;
    },
    { what: `${times} attempts at each of ${ids.length} events` },
  );
}

/** Failing attempts, as far as the plan has any before this moment. Answers how many have been made. */
async function failUntil(id: string, ids: readonly string[], endMs: number): Promise<number> {
  let made = 1;
  await tried(id, ids, made);
  for (const pauseMs of pausesMs) {
    if (clock.now().getTime() + pauseMs * 1.1 > endMs) break;
    await clock.advance(pauseMs * 1.1 + 1);
    await tried(id, ids, ++made);
  }
  return made;
}

it('a receiver that is down for three days gets every event, once per id', async () => {
  const tenantId = newId('ten');
  const path = 'three-days';
  const { id, secret } = await register(tenantId, path);
  await receiver.behave(path, { status: 500 });
  const startMs = clock.now().getTime();
  const ids = await happen(tenantId, events);
  const made = await failUntil(id, ids, startMs + 3 * dayMs);
  assert.equal(made, 9, 'the tenth attempt comes later than three days');
  await clock.advance(startMs + 3 * dayMs - clock.now().getTime());
  const before = (await receiver.seen(path)).length;
  assert.equal(before, 9 * events);

  await receiver.behave(path, { secrets: [secret], otherTime: true });
  await clock.advance(24 * hourMs * 1.1);
  await tried(id, ids, 10);
  const taken = (await receiver.seen(path)).slice(before);
  assert.deepEqual(taken.map((one) => one.id).sort(), ids.toSorted());
  for (const one of taken) {
    assert.deepEqual(one.verified, [true]);
    assert.ok(one.timestamp * 1000 >= startMs + 3 * dayMs, 'signed with the time of the attempt');
  }
  const { callback } = await world.callbacks.getCallback({ id }, { tenantId });
  assert.deepEqual([callback!.enabled, callback!.failingSince], [true, undefined]);
});

it('one that is down for a week ends disabled, its owner is told, and one replay delivers all', async () => {
  const tenantId = newId('ten');
  const path = 'a-week';
  const since = clock.now();
  const { id, secret } = await register(tenantId, path);
  await receiver.behave(path, { status: 500 });
  const early = await happen(tenantId, events);
  await failUntil(id, early, since.getTime() + 2 * dayMs);
  const later = await happen(tenantId, events);
  await tried(id, later, 1);
  const enabled = async () => (await world.callbacks.getCallback({ id }, { tenantId })).callback!.enabled;
  await clock.advance(since.getTime() + 5 * dayMs - 60_000 - clock.now().getTime());
  assert.equal(await enabled(), true, 'a minute before five days are over');
  const disabled = async () => {
    await clock.advance(20_000);
    return !(await enabled());
  };
  await waitFor(disabled, { what: 'the callback to be disabled' });
  assert.ok(clock.now().getTime() >= since.getTime() + 5 * dayMs);
  const { callback } = await world.callbacks.getCallback({ id }, { tenantId });
  assert.equal(callback!.disabledReason, CallbackDisabledReason.CALLBACK_DISABLED_REASON_FAILING);
  const notices = await world.database.pool.query<{ text: string }>('SELECT text FROM callback_notice WHERE callback_id = $1', [
    idToUuid('cbk', id),
  ]);
  assert.equal(notices.rowCount, 1);
  assert.match(notices.rows[0]!.text, new RegExp(`/callbacks/${id}/replay`));
  const last = await happen(tenantId, events);
  await clock.advance(since.getTime() + 7 * dayMs - clock.now().getTime());

  const before = (await receiver.seen(path)).length;
  await receiver.behave(path, { secrets: [secret], otherTime: true });
  await world.callbacks.replayCallback({ id, since, until: undefined, onlyFailed: true, repeatable: undefined }, { tenantId });
  const wanted = [...early, ...later, ...last];
  const taken = await waitFor(
    async () => {
      const list = (await receiver.seen(path)).slice(before);
      return list.length >= wanted.length && list;
    },
    { what: 'everything that was missed' },
  );
  assert.deepEqual(taken.map((one) => one.id).sort(), wanted.toSorted(), 'each once');
  assert.ok(taken.every((one) => one.verified[0]));
  assert.equal(await enabled(), true);
});

it('a day after a rotation the new secret signs alone', async () => {
  const tenantId = newId('ten');
  const path = 'rotation';
  const { id, secret } = await register(tenantId, path);
  const { secret: fresh } = await world.callbacks.rotateCallbackSecret({ id, repeatable: undefined }, { tenantId });
  await receiver.behave(path, { secrets: [secret, fresh], otherTime: true });
  const signedBy = async (count: number) => {
    await world.callbacks.testCallback({ id, repeatable: undefined }, { tenantId });
    const list = await waitFor(async () => (await receiver.seen(path)).length === count && (await receiver.seen(path)), {
      what: 'the test',
    });
    return list.at(-1)!.verified;
  };
  await clock.advance(23 * hourMs);
  assert.deepEqual(await signedBy(1), [true, true]);
  await clock.advance(hourMs);
  assert.deepEqual(await signedBy(2), [false, true]);
});
