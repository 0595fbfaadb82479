// What is particular to the PostgreSQL log: leases of partitions by PostgreSQL's clock, news and their loss, batches by bytes.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { createTestDatabase } from '@maildoot/testkit/database';
import { waitFor } from '@maildoot/testkit/wait';
import { createPostgresLog, type PostgresLogOptions } from '../src/postgres-log.ts';
import { shareOf } from '../src/postgres-subscription.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import { capturing, event, numberOf, openProducer, range, silent, tell } from './fixtures.ts';

async function setUp() {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const sequencer = stack.use(startSequencer({ database, logger: silent }));
  await sequencer.ready;
  const openLog = (options: Partial<PostgresLogOptions> = {}) => createPostgresLog({ url, logger: silent, ...options });
  const publish = async (...numbers: number[]) => {
    await tell(database, ...numbers.map((number) => event('k', number)));
    sequencer.wake();
  };
  const owned = stack.move();
  return { url, database, sequencer, openLog, publish, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function collect(log: ReturnType<typeof createPostgresLog>, group: string) {
  const numbers: number[] = [];
  const subscription = log.subscribe(messageAccepted, {
    group,
    maxBatch: 10,
    async handle(records) {
      numbers.push(...records.map(numberOf));
    },
  });
  return { numbers, subscription };
}

test('partitions of a member on another machine are waited for until it expires by the clock of PostgreSQL', async () => {
  await using setup = await setUp();
  const { pool } = setup.database;
  await using log = setup.openLog({ leaseMs: 3_000 });
  const before = collect(log, 'g');
  await waitFor(() => before.subscription.partitions.length === 16, { what: 'all partitions' });
  await before.subscription[Symbol.asyncDispose]();
  const elsewhere = randomUUID();
  await pool.query(
    `INSERT INTO event_log.member (member, group_name, topic, machine, pid, expires_at)
     VALUES ($1, 'g', $2, 'elsewhere', 1, clock_timestamp() + interval '1 hour')`,
    [elsewhere, messageAccepted.name],
  );
  await pool.query('UPDATE event_log.subscription SET owner = $1', [elsewhere]);
  await setup.publish(1);
  const { numbers } = collect(log, 'g');
  await waitFor(async () => (await pool.query('SELECT FROM event_log.member')).rowCount === 2, { what: 'the second member' });
  await pool.query(
    "UPDATE event_log.member SET expires_at = clock_timestamp() + interval '1 second' WHERE machine = 'elsewhere' AND expires_at > clock_timestamp()",
  );
  let early = false;
  await waitFor(
    async () => {
      const read = numbers.length > 0;
      const { rows } = await pool.query<{ alive: boolean }>(
        "SELECT EXISTS (SELECT FROM event_log.member WHERE machine = 'elsewhere' AND expires_at > clock_timestamp()) AS alive",
      );
      early ||= read && rows[0]!.alive;
      return read;
    },
    { what: 'the takeover' },
  );
  assert.equal(early, false, 'read while another machine held the partitions');
  assert.deepEqual(numbers, [1]);
});

for (const noticed of [true, false]) {
  test(`a member that the others have given up commits nothing and joins again under another id, ${noticed ? '' : 'not '}having noticed before its handler returns`, async () => {
    await using setup = await setUp();
    const { pool } = setup.database;
    await using log = setup.openLog({ leaseMs: noticed ? 3_000 : 12_000 });
    const entered = Promise.withResolvers<void>();
    const leave = Promise.withResolvers<void>();
    const calls: number[][] = [];
    const subscription = log.subscribe(messageAccepted, {
      group: 'g',
      maxBatch: 10,
      async handle(records) {
        calls.push(records.map(numberOf));
        if (calls.length > 1) return;
        entered.resolve();
        await leave.promise;
      },
    });
    await waitFor(() => subscription.partitions.length === 16, { what: 'all partitions' });
    await setup.publish(1, 2);
    await entered.promise;
    const { rows } = await pool.query<{ shard: number }>('SELECT DISTINCT shard FROM outbox');
    const partition = rows[0]!.shard;
    // As if it had been silent for too long: another one took everything and has handled the first record.
    const other = randomUUID();
    const { rows: members } = await pool.query<{ member: string }>('DELETE FROM event_log.member RETURNING member');
    await pool.query(
      `INSERT INTO event_log.member (member, group_name, topic, machine, pid, expires_at)
       VALUES ($1, 'g', $2, 'elsewhere', 1, clock_timestamp() + interval '1 hour')`,
      [other, messageAccepted.name],
    );
    await pool.query('UPDATE event_log.subscription SET owner = $1, position = CASE partition WHEN $2 THEN 1 ELSE position END', [
      other,
      partition,
    ]);
    if (noticed) await waitFor(() => !subscription.partitions.includes(partition), { what: 'the member to notice' });
    leave.resolve();
    await pool.query('UPDATE event_log.member SET expires_at = clock_timestamp() WHERE member = $1', [other]);
    await waitFor(() => calls.length === 2, { what: 'the second record after the other one has expired' });
    assert.deepEqual(calls, [[1, 2], [2]]);
    await waitFor(() => subscription.partitions.length === 16, { what: 'all partitions again' });
    const { rows: now } = await pool.query<{ member: string }>('SELECT member FROM event_log.member');
    assert.equal(now.length, 1);
    assert.notEqual(now[0]!.member, members[0]!.member);
  });
}

test('records whose news were lost are found by looking', async () => {
  await using setup = await setUp();
  await using log = setup.openLog();
  const { numbers, subscription } = collect(log, 'g');
  await waitFor(() => subscription.partitions.length === 16, { what: 'all partitions' });
  await setup.sequencer[Symbol.asyncDispose]();
  await tell(setup.database, event('k', 1));
  await setup.database.pool.query('UPDATE outbox SET position = 1');
  await waitFor(() => numbers.length === 1, { what: 'the record' });
});

test('news of a sequencer in another process come by NOTIFY, also after the listening connection was lost', async () => {
  await using setup = await setUp();
  const { pool } = setup.database;
  await using log = setup.openLog();
  const { numbers, subscription } = collect(log, 'g');
  await waitFor(() => subscription.partitions.length === 16, { what: 'all partitions' });
  await setup.sequencer[Symbol.asyncDispose]();
  const listeners = async () =>
    (
      await pool.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'event-log listener' AND datname = current_database()",
      )
    ).rows;
  let position = 0;
  for (const _round of range(2)) {
    let fastest = Number.POSITIVE_INFINITY;
    // The quickest of many: a busy machine is slow at times.
    for (let tries = 0; tries < 60 && fastest >= 80; tries++) {
      position++;
      await tell(setup.database, event('k', position));
      const { rows } = await pool.query<{ shard: number }>('UPDATE outbox SET position = $1 WHERE position IS NULL RETURNING shard', [
        position,
      ]);
      const at = performance.now();
      await pool.query('SELECT pg_notify($1, $2)', [
        'outbox_news_messaging',
        JSON.stringify({ [messageAccepted.name]: { [rows[0]!.shard]: String(position) } }),
      ]);
      await waitFor(() => numbers.length === position, { what: 'the record', intervalMs: 1 });
      fastest = Math.min(fastest, performance.now() - at);
    }
    // Looking alone comes half a second after the look that found the one before.
    assert.ok(fastest < 80, `the fastest took ${fastest} ms`);
    const [listener] = await listeners();
    await pool.query('SELECT pg_terminate_backend($1)', [listener!.pid]);
    await waitFor(async () => (await listeners()).some(({ pid }) => pid !== listener!.pid), { what: 'the next listening connection' });
  }
});

test('a batch has at most a megabyte, but always one record', async () => {
  await using setup = await setUp();
  await using log = setup.openLog();
  const batches: number[] = [];
  const large = (number: number, bytes: number) => ({ ...event('k', number), mailFrom: 'x'.repeat(bytes) });
  await tell(setup.database, ...range(6).map((number) => large(number, 400_000)), large(6, 990_000), large(7, 990_000));
  log.subscribe(messageAccepted, {
    group: 'g',
    maxBatch: 100,
    async handle(records) {
      batches.push(records.length);
    },
  });
  setup.sequencer.wake();
  await waitFor(() => batches.reduce((sum, length) => sum + length, 0) === 8, { what: 'all records' });
  assert.deepEqual(batches, [2, 2, 2, 1, 1]);
});

test('what a record carries is not logged when it is parked', async () => {
  await using setup = await setUp();
  const { logger, logs } = capturing();
  await using log = setup.openLog({ logger });
  log.subscribe(messageAccepted, {
    group: 'g',
    maxBatch: 1,
    retry: { attempts: 1 },
    async handle() {
      throw new Error('refused');
    },
  });
  await tell(setup.database, { ...event('marker-in-key', 1), mailFrom: 'marker-in-payload' });
  setup.sequencer.wake();
  await logs.waitForRecord(({ msg }) => msg === 'events: a record was parked', 'the alarm');
  assert.doesNotMatch(logs.text, /marker/);
});

test('a partition that is held up is an error in the log, again and again but not for each failure', async () => {
  await using setup = await setUp();
  const { logger, logs } = capturing();
  await using log = setup.openLog({ logger });
  let calls = 0;
  log.subscribe(messageAccepted, {
    group: 'g',
    maxBatch: 1,
    retry: { firstDelayMs: 1, maxDelayMs: 2 },
    async handle() {
      if (++calls <= 25) throw Object.assign(new Error('relation "due" does not exist'), { code: '42P01', severity: 'ERROR' });
    },
  });
  await tell(setup.database, event('k', 1));
  setup.sequencer.wake();
  await waitFor(() => calls === 26, { what: 'the record to be handled' });
  const lines = logs.records.filter(({ msg }) => msg === 'events: a partition is held up by its handler, trying again');
  assert.deepEqual(
    lines.map(({ level, failures, fault }) => ({ level, failures, fault })),
    [10, 20].map((failures) => ({ level: 'error', failures, fault: 'elsewhere' })),
  );
});

test('options that cannot work are refused', async () => {
  await using log = createPostgresLog({ url: 'postgresql://nobody@127.0.0.1:1/none', logger: silent });
  const handle = async () => {};
  assert.throws(() => log.subscribe(messageAccepted, { group: '', maxBatch: 1, handle }), /group must not be empty/);
  for (const maxBatch of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => log.subscribe(messageAccepted, { group: 'g', maxBatch, handle }), /maxBatch must be/);
  }
});

test('a log that cannot be reached is closed without waiting for it', async () => {
  const log = createPostgresLog({ url: 'postgresql://nobody@127.0.0.1:1/none', logger: silent });
  const { subscription } = collect(log, 'g');
  assert.deepEqual(subscription.partitions, []);
  await log[Symbol.asyncDispose]();
  assert.throws(() => collect(log, 'g'), /closed/);
});

test('shares add up to all partitions, whatever the number of members', () => {
  for (let count = 1; count <= 20; count++) {
    const members = range(count).map(String);
    const shares = members.map((member) => shareOf(member, members, 16));
    assert.equal(
      shares.reduce((sum, share) => sum + share, 0),
      16,
    );
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
  }
  assert.equal(shareOf('stranger', ['a', 'b'], 16), 0);
});
