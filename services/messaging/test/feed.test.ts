// The feed: every event of a tenant exactly once and in one order, whatever commits when and whoever dies.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { appendOutbox } from '@maildoot/events/outbox';
import { messageAccepted } from '@maildoot/events/topics';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { systemClock } from '@maildoot/runtime/clock';
import { idToUuid, newId, uuidToId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { positionAt } from '../src/feed.ts';
import { startFeedSequencer } from '../src/jobs/feed-sequencer.ts';
import { keepEvents } from '../src/keep-events.ts';
import { recordOutcomes } from '../src/record-outcomes.ts';
import { settledPlace } from '../src/store/callbacks.ts';
import { everythingPlaced, sequence } from '../src/store/feed.ts';
import { createTelemetry } from '../src/telemetry.ts';
import {
  acceptedMessages,
  ask,
  assertAllRead,
  attemptEvent,
  end,
  everything,
  ownDatabase,
  startReader,
  startWriters,
} from './feed-load.ts';
import { createWorld, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const address = (email: string) => ({ email, name: '' });
const typesOf = async (tenantId: string) => (await everything(world, tenantId)).map(({ event }) => event?.type);

it('a message’s way in the feed: the timeline’s events, with message, tags and metadata, in an increasing order', async () => {
  const tenantId = newId('ten');
  world.verified.add(`${tenantId} sender.example`);
  const { id } = await world.acceptOne(
    { to: [address('a@rcpt.example')], tags: ['order'], metadata: { order: '7' }, sendAt: new Date(Date.now() + 60_000) },
    {},
    tenantId,
  );
  await waitFor(async () => (await everything(world, tenantId)).length === 2, { what: 'accepted and scheduled' });
  const at = new Date();
  const attempt = { messageId: id, tenantId, recipientNumber: 0, recipient: 'a@rcpt.example', queuedAt: at, startedAt: at, finishedAt: at };
  await world.tellAttempts(
    { ...attempt, attempt: 1, outcome: Outcome.OUTCOME_DEFERRED },
    { ...attempt, attempt: 2, outcome: Outcome.OUTCOME_DELIVERED },
  );
  await waitFor(async () => (await everything(world, tenantId)).length === 5, { what: 'the attempts' });

  const events = await everything(world, tenantId);
  assert.deepEqual(
    events.map(({ event }) => [event?.type, event?.recipient, event?.attempt?.attempt]),
    [
      ['message.accepted', '', undefined],
      ['message.scheduled', '', undefined],
      ['message.queued', 'a@rcpt.example', undefined],
      ['message.deferred', 'a@rcpt.example', 1],
      ['message.delivered', 'a@rcpt.example', 2],
    ],
  );
  for (const { messageId, tags, metadata } of events) assert.deepEqual([messageId, tags, metadata], [id, ['order'], { order: '7' }]);
  for (const [index, { seq }] of events.entries()) assert.ok(index === 0 || seq > events[index - 1]!.seq, 'seq increases');
  const timeline = await world.timeline(id, tenantId);
  assert.deepEqual(
    events.map(({ event }) => event),
    [...timeline.events, ...(timeline.recipients[0]?.events ?? [])],
    'the same events, ids included',
  );
});

it('an outcome that is here before the acceptance was told has it told first, once', async () => {
  const tenantId = newId('ten');
  const [source] = await acceptedMessages(world, tenantId, 1);
  // A message as it is between its acceptance and our reading of that.
  const id = idToUuid('msg', newId('msg'))!;
  for (const table of ['message', 'recipient'] as const) {
    const key = table === 'message' ? 'id' : 'message_id';
    await world.database.pool.query(
      `INSERT INTO ${table} SELECT (jsonb_populate_record(t, jsonb_build_object('${key}', $1::uuid))).* FROM ${table} t WHERE ${key} = $2`,
      [id, source],
    );
  }
  const from = await end(world, tenantId);
  const event = AttemptRecordedEvent.fromPartial({ attempt: 1, queuedAt: new Date(), finishedAt: new Date() });
  const outcome = { messageId: id, tenantId: idToUuid('ten', tenantId)!, outcome: Outcome.OUTCOME_DELIVERED, event };
  await world.database.transaction((client) => recordOutcomes(client, [outcome], new Date()));
  const accepted = MessageAcceptedEvent.fromPartial({ messageId: uuidToId('msg', id), tenantId });
  for (let time = 0; time < 2; time++)
    await world.database.transaction((client) => appendOutbox(client, [{ topic: messageAccepted, event: accepted }]));
  const isHandled = async () => {
    const { rows } = await world.database.pool.query<{ handled: boolean }>(
      `SELECT bool_and(o.position <= p.position) AS handled
       FROM outbox o LEFT JOIN event_log.subscription p ON p.group_name = 'messaging-feed' AND p.topic = o.topic AND p.partition = o.shard
       WHERE o.key = $1`,
      [uuidToId('msg', id)],
    );
    return rows[0]?.handled === true;
  };
  await waitFor(isHandled, { what: 'both acceptances to be handled' });
  // What is told later is read later: when this is here, so is all before it.
  await world.database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, source!, 1)]));
  await waitFor(async () => (await typesOf(tenantId)).includes('message.deferred'), { what: 'a later event' });
  const told = (await everything(world, tenantId, from)).slice(0, -1);
  assert.deepEqual(
    told.map((one) => one.event?.type),
    ['message.accepted', 'message.queued', 'message.delivered'],
  );
});

it('a tenant sees its own events and no others, from whatever position it starts', async () => {
  const [mine, theirs] = [newId('ten'), newId('ten')];
  await acceptedMessages(world, mine, 2);
  await acceptedMessages(world, theirs, 2);
  const [first] = await everything(world, mine);
  assert.equal((await everything(world, theirs, first!.seq - 1n)).length, 2);
  const stranger = await ask(world, { limit: 1 }, newId('ten'));
  assert.deepEqual([stranger.events, stranger.nextAfter, stranger.hasMore], [[], 0n, false], 'not even that there is something');
  await assert.rejects(world.delivery.listEvents({ limit: 1, after: 0n, waitMs: 0 }, { tenantId: mine }), rpcError('CALLER_NOT_ALLOWED'));
});

it('pages of any size, over rows of many events, give each event once', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  const from = await end(world, tenantId);
  const events = Array.from({ length: 230 }, (_, index) => attemptEvent(tenantId, id!, index + 1));
  await world.database.transaction((client) => keepEvents(client, events));
  await waitFor(async () => (await everything(world, tenantId, from)).length === 230, { what: 'all of them' });
  for (const limit of [7, 90, 91, 100]) {
    const read = await everything(world, tenantId, from, limit);
    assert.deepEqual(
      read.map(({ event }) => event?.attempt?.attempt),
      events.map(({ attempt }) => attempt),
      `limit ${limit}`,
    );
  }
  const one = await ask(world, { after: from + 95n, limit: 1 }, tenantId);
  assert.deepEqual([one.events.length, one.hasMore], [1, true]);
  const capped = await ask(world, { after: from, limit: 5_000 }, tenantId);
  assert.deepEqual([capped.events.length, capped.hasMore], [100, true]);
  await assert.rejects(ask(world, { after: 2n ** 60n }, tenantId), rpcError('VALIDATION_ERROR'));
});

it('who waits is told as soon as it is there, by whichever process it was committed; who waits in vain is answered', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  let from = await end(world, tenantId);
  const tookMs: number[] = [];
  for (let attempt = 1; attempt <= 5; attempt++) {
    const waiting = ask(world, { after: from, waitMs: 30_000 }, tenantId);
    // From outside of the service, which nobody wakes.
    await world.database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, id!, attempt)]));
    const committedAtMs = performance.now();
    const page = await waiting;
    tookMs.push(performance.now() - committedAtMs);
    assert.equal(page.events.length, 1);
    from = page.nextAfter;
  }
  // The quickest: the machine may have been busy with something else in the others.
  assert.ok(Math.min(...tookMs) < 1_000, `${tookMs} ms`);
  const inVain = await ask(world, { after: from, waitMs: 50 }, tenantId);
  assert.deepEqual([inVain.events, inVain.nextAfter, inVain.hasMore], [[], from, false]);
});

it('positions go on increasing in a database that was restored from an earlier state', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  const before = await end(world, tenantId);
  await world.database.pool.query("SELECT setval('feed_seq', 1)");
  await world.database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, id!, 1)]));
  const page = await ask(world, { after: before, waitMs: 30_000 }, tenantId);
  assert.equal(page.events.length, 1);
});

it('nothing is skipped: one transaction opens, others open and commit, a reader passes, the first commits', async () => {
  const tenantId = newId('ten');
  const [first, second] = await acceptedMessages(world, tenantId, 2);
  let from = await end(world, tenantId);
  await using database = ownDatabase(world, 2);
  const opened = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const slow = database.transaction(async (client) => {
    await keepEvents(client, [attemptEvent(tenantId, first!, 1)]);
    opened.resolve();
    await go.promise;
  });
  await opened.promise;
  // Often enough that the sequencer would forget the one that is open, if it could.
  for (let attempt = 1; attempt <= 4; attempt++) {
    await database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, second!, attempt)]));
    const page = await ask(world, { after: from, waitMs: 30_000 }, tenantId);
    assert.deepEqual(
      page.events.map(({ messageId, event }) => [messageId, event?.attempt?.attempt]),
      [[uuidToId('msg', second!), attempt]],
    );
    from = page.nextAfter;
  }
  go.resolve();
  await slow;
  const next = await ask(world, { after: from, waitMs: 30_000 }, tenantId);
  assert.deepEqual(
    next.events.map(({ messageId }) => messageId),
    [uuidToId('msg', first!)],
    'the one that committed last comes last, and it comes',
  );
});

it('a pass starts behind what is done with, also while a backup keeps the dead rows', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  await using database = ownDatabase(world, 3);
  await using sequencer = startFeedSequencer({
    database,
    clock: systemClock,
    telemetry: createTelemetry(createLogger({ service: 'messaging', level: 'silent' })),
    onGrown: () => {},
  });
  const backup = await database.pool.connect();
  try {
    await backup.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await backup.query('SELECT FROM feed_pending');
    const { rows } = await world.database.pool.query<{ serial: string }>('SELECT last_value::text AS serial FROM feed_serial');
    let attempt = 0;
    await waitFor(
      async () => {
        await world.database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, id!, ++attempt)]));
        sequencer.wake();
        return sequencer.bound > BigInt(rows[0]!.serial);
      },
      { what: 'the bound to pass what was there when the backup began' },
    );
    await waitFor(async () => (await everything(world, tenantId)).length === attempt + 1, { what: 'all events' });
  } finally {
    await backup.query('COMMIT');
    backup.release();
  }
  assert.equal((await world.database.pool.query('SELECT FROM feed_pending')).rowCount, 0, 'nothing stays');
});

it('who waits for what was told before does not look below the bound', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  await using database = ownDatabase(world, 3);
  const placed = (bound: bigint, withinMs: number) => everythingPlaced(database.pool, () => bound, withinMs);
  const serial = await database.transaction(async (client) => {
    // No places are given meanwhile.
    await settledPlace(client);
    await world.database.transaction((other) => keepEvents(other, [attemptEvent(tenantId, id!, 1)]));
    const { rows } = await client.query<{ last: string }>('SELECT max(serial)::text AS last FROM feed_pending');
    const last = BigInt(rows[0]!.last);
    assert.deepEqual([await placed(last - 1n, 50), await placed(last, 50)], [false, true]);
    return last;
  });
  assert.equal(await placed(serial - 1n, 30_000), true);
});

it('a reader that pages all the time gets every event once, in order, from many writers that commit and roll back', async () => {
  const tenantIds = [newId('ten'), newId('ten')];
  const messages = [await acceptedMessages(world, tenantIds[0]!, 8), await acceptedMessages(world, tenantIds[1]!, 8)];
  await using readers = new AsyncDisposableStack();
  const reading = await Promise.all(
    tenantIds.map(async (tenantId) => readers.use(startReader(world, tenantId, await end(world, tenantId)))),
  );
  await using load = startWriters(world, tenantIds, messages, 8);
  await load.until(3_000);
  await load.stop();
  for (const [index, tenantId] of tenantIds.entries())
    await assertAllRead(world, tenantId, reading[index]!, load.committed.get(tenantId) ?? []);
});

it('processes that fight for the work, are killed in the middle of it or stopped beyond their time leave nothing out and nothing twice', async () => {
  const tenantId = newId('ten');
  const messages = await acceptedMessages(world, tenantId, 10);
  await using reader = startReader(world, tenantId, await end(world, tenantId));
  await using load = startWriters(world, [tenantId], [messages], 6);
  await using children = new AsyncDisposableStack();
  const start = async () => children.use(await sequencerProcess());
  const running = [await start(), await start()];
  for (let round = 1; round <= 8; round++) {
    await load.until(round * 150);
    running.shift()?.process.kill('SIGKILL');
    running.push(await start());
  }
  const stopped = await stoppedInTheMiddle(running);
  await load.until(1_500);
  await load.stop();
  // PostgreSQL takes the work from a process that stands still.
  await assertAllRead(world, tenantId, reader, load.committed.get(tenantId) ?? []);
  stopped.process.kill('SIGCONT');
  await world.database.transaction((client) =>
    keepEvents(client, [{ ...attemptEvent(tenantId, messages[0]!, 1), type: 'message.failed' }]),
  );
  await waitFor(async () => (await typesOf(tenantId)).includes('message.failed'), { what: 'an event after it went on' });
  assert.equal((await typesOf(tenantId)).filter((type) => type === 'message.failed').length, 1);
});

it('events go with their message, and the feed leads past them; after 30 days they go anyway', async () => {
  const clock = new TestClock();
  await using old = await createWorld({ clock, env: { MESSAGING_ROLE: 'api', MESSAGE_RETENTION_DAYS: '3', CONTENT_RETENTION_DAYS: '1' } });
  const { id } = await old.acceptOne();
  await old.tellAttempts({ messageId: id, recipientNumber: 0, attempt: 1, outcome: Outcome.OUTCOME_DELIVERED, finishedAt: clock.now() });
  const types = async () => (await everything(old, old.tenantId)).map(({ event }) => event?.type);
  await waitFor(async () => (await types()).length === 2, { what: 'both events' });
  const partitions = async () => {
    const { rows } = await old.database.pool.query<{ count: number }>(
      "SELECT count(*)::int AS count FROM pg_inherits WHERE inhparent = 'feed'::regclass",
    );
    return rows[0]!.count;
  };
  assert.equal(await partitions(), 9);

  // Partitions, idempotency records, statistics.
  const jobs = 3;
  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep' });
  await clock.advance(5 * 86_400_000);
  // A partition that was locked when its time came has its next one an hour later.
  const hourly = (done: () => Promise<boolean>) => async () => {
    if (await done()) return true;
    await clock.advance(3_600_000);
    return false;
  };
  await waitFor(
    hourly(async () => (await types()).length === 0),
    { what: 'the events to go with their message', intervalMs: 500, timeoutMs: 60_000 },
  );
  const page = await ask(old, { limit: 1 }, old.tenantId);
  assert.ok(page.nextAfter > 0n, 'the places are known: a reader goes on behind them');

  await waitFor(() => clock.sleeping === jobs, { what: 'the jobs to sleep again' });
  await clock.advance(31 * 86_400_000);
  const left = async () => (await old.database.pool.query('SELECT FROM feed')).rowCount;
  await waitFor(
    hourly(async () => (await left()) === 0),
    { what: 'the feed’s rows to go', intervalMs: 500, timeoutMs: 60_000 },
  );
});

interface Child extends AsyncDisposable {
  process: ChildProcess;
}

async function sequencerProcess(): Promise<Child> {
  const path = fileURLToPath(new URL('feed-sequencer-process.ts', import.meta.url));
  const child = spawn(process.execPath, [path, world.databaseUrl], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    process: child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** One of them, standing still while it holds the lock. */
async function stoppedInTheMiddle(children: readonly Child[]): Promise<Child> {
  let turn = 0;
  return await waitFor(
    async () => {
      const child = children[turn++ % children.length]!;
      child.process.kill('SIGSTOP');
      const { rowCount } = await world.database.pool.query(
        `SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
         WHERE l.locktype = 'advisory' AND l.granted AND a.state = 'idle in transaction' AND a.application_name = $1`,
        [`feed sequencer ${child.process.pid}`],
      );
      if (rowCount === 1) return child;
      child.process.kill('SIGCONT');
      return undefined;
    },
    { what: 'one to stand still in the middle', intervalMs: 1 },
  );
}

it('a process whose clock is months ahead does not take the feed with it', async () => {
  const tenantId = newId('ten');
  const [id] = await acceptedMessages(world, tenantId, 1);
  const from = await end(world, tenantId);
  const daysAhead = (days: number) => positionAt(new Date(Date.now() + days * 86_400_000));
  // Some of them it finds before the service does.
  for (let attempt = 1; attempt <= 10; attempt++) {
    await world.database.transaction((client) => keepEvents(client, [attemptEvent(tenantId, id!, attempt)]));
    await sequence(world.database, 0n, daysAhead(60), 500);
  }
  const events = await waitFor(
    async () => {
      const all = await everything(world, tenantId, from);
      return all.length >= 10 && all;
    },
    { what: 'all events' },
  );
  assert.equal(events.length, 10);
  assert.ok(events.every(({ seq }) => seq < daysAhead(2)));
});
