// The sequencer: positions without gap or repetition whatever happens to the holders of its leases, nothing left behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Database } from '@maildoot/db/database';
import { dropExpired } from '@maildoot/db/partitions';
import { uuidAt } from '@maildoot/runtime/ids';
import { createTestDatabase } from '@maildoot/testkit/database';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import { wakeChannelOf } from '../src/news.ts';
import { appendOutbox } from '../src/outbox.ts';
import { thisProcess } from '../src/process-identity.ts';
import { isReadByAll } from '../src/retention.ts';
import { type SequencerOptions, startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import { capturing, event, openProducer, range, silent, tell } from './fixtures.ts';

async function setUp(options: Partial<SequencerOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const { url } = stack.use(await createTestDatabase());
  const database = stack.use(await openProducer(url));
  const start = (more: Partial<SequencerOptions> = {}) => startSequencer({ database, logger: silent, ...options, ...more });
  const owned = stack.move();
  return { url, database, start, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Keys and numbers in the order of their positions; fails when positions have a gap or come twice. */
async function sequenced(database: Database): Promise<{ key: string; number: number }[]> {
  const { rows } = await database.pool.query<{ key: string; payload: Buffer; shard: number; position: string }>(
    'SELECT key, payload, shard, position FROM outbox WHERE position IS NOT NULL ORDER BY shard, position',
  );
  const perShard = Map.groupBy(rows, ({ shard }) => shard);
  for (const [shard, found] of perShard) {
    assert.deepEqual(
      found.map(({ position }) => Number(position)),
      range(found.length).map((index) => index + 1),
      `positions of shard ${shard}`,
    );
  }
  return rows.map(({ key, payload }) => ({ key, number: Number(messageAccepted.codec.decode(payload).sizeBytes) }));
}

async function unsequenced(database: Database): Promise<number> {
  const { rows } = await database.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM outbox WHERE position IS NULL');
  return rows[0]!.count;
}

function drained(database: Database): Promise<boolean> {
  return waitFor(async () => (await unsequenced(database)) === 0, { what: 'all rows sequenced' });
}

async function heldByOne(database: Database): Promise<boolean> {
  const { rows } = await database.pool.query('SELECT FROM outbox_shard WHERE holder IS NULL');
  return rows.length === 0;
}

/** Another machine's sequencer holds all shards. */
async function holdElsewhere(database: Database, ms: number): Promise<string> {
  const holder = randomUUID();
  await database.pool.query(
    "UPDATE outbox_shard SET holder = $1, machine = 'elsewhere', pid = 1, expires_at = clock_timestamp() + $2 * interval '1 millisecond'",
    [holder, ms],
  );
  return holder;
}

test('leases of another machine are waited for until they expire by the clock of PostgreSQL', async () => {
  await using setup = await setUp();
  await using first = setup.start();
  await first.ready;
  await first[Symbol.asyncDispose]();
  const holder = await holdElsewhere(setup.database, 3_600_000);
  await tell(setup.database, event('k', 1));
  await using second = setup.start();
  await second.ready;
  assert.equal(second.shards.length, 0);
  second.wake();
  await setup.database.pool.query("UPDATE outbox_shard SET expires_at = clock_timestamp() + interval '1 second' WHERE holder = $1", [
    holder,
  ]);
  let early = false;
  await waitFor(
    async () => {
      const { rows } = await setup.database.pool.query<{ early: boolean; given: boolean }>(
        `SELECT EXISTS (SELECT FROM outbox WHERE position IS NOT NULL) AS given,
                EXISTS (SELECT FROM outbox_shard WHERE machine = 'elsewhere' AND expires_at > clock_timestamp()) AS early`,
      );
      early ||= rows[0]!.given && rows[0]!.early;
      return rows[0]!.given;
    },
    { what: 'the takeover' },
  );
  assert.equal(early, false, 'sequenced while another machine held the lease');
  assert.equal(second.shards.length, 16);
});

test('the leases of a process of this machine that has died are free at once', async () => {
  await using setup = await setUp();
  await using first = setup.start();
  await first.ready;
  await first[Symbol.asyncDispose]();
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  await setup.database.pool.query("UPDATE outbox_shard SET holder = $1, machine = $2, pid = $3, expires_at = now() + interval '1 hour'", [
    randomUUID(),
    thisProcess().machine,
    child.pid,
  ]);
  await using second = setup.start();
  await second.ready;
  assert.equal(second.shards.length, 16);
});

test('of the shards, those are taken that are free', async () => {
  await using setup = await setUp();
  await using first = setup.start();
  await first.ready;
  await first[Symbol.asyncDispose]();
  await holdElsewhere(setup.database, 3_600_000);
  await setup.database.pool.query('UPDATE outbox_shard SET holder = NULL WHERE shard >= 12');
  await using second = setup.start();
  await second.ready;
  assert.deepEqual(second.shards, [12, 13, 14, 15]);
});

test('who has lost its leases without noticing gives no position', async () => {
  await using setup = await setUp();
  await using sequencer = setup.start();
  await sequencer.ready;
  await tell(setup.database, event('k', 1));
  sequencer.wake();
  await drained(setup.database);
  assert.equal(sequencer.shards.length, 16);
  const other = await holdElsewhere(setup.database, 3_600_000);
  await tell(setup.database, event('k', 2));
  sequencer.wake();
  await waitFor(() => sequencer.shards.length === 0, { what: 'the sequencer to notice' });
  assert.equal(await unsequenced(setup.database), 1);
  await setup.database.pool.query("UPDATE outbox_shard SET expires_at = '-infinity' WHERE holder = $1", [other]);
  await drained(setup.database);
  assert.deepEqual(await sequenced(setup.database), [
    { key: 'k', number: 1 },
    { key: 'k', number: 2 },
  ]);
});

test('after its connection was killed in the middle of a pass, every row has one position', async () => {
  await using setup = await setUp();
  await using sequencer = setup.start();
  await sequencer.ready;
  await tell(setup.database, event('k', 0));
  sequencer.wake();
  await drained(setup.database);
  for (const round of range(3)) {
    await tell(setup.database, ...range(20).map((number) => event(`k${number % 5}`, round * 20 + number)));
    const blocker = await setup.database.pool.connect();
    await blocker.query('BEGIN');
    await blocker.query('SELECT FROM outbox WHERE position IS NULL FOR UPDATE');
    sequencer.wake();
    const { pid } = await waitFor(
      async () => {
        const { rows } = await setup.database.pool.query<{ pid: number }>(
          "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET position%' AND datname = current_database()",
        );
        return rows[0];
      },
      { what: 'a pass that waits for the row' },
    );
    await blocker.query('SELECT pg_terminate_backend($1)', [pid]);
    await blocker.query('COMMIT');
    blocker.release();
    await drained(setup.database);
  }
  const rows = await sequenced(setup.database);
  assert.equal(rows.length, 61);
  for (const key of range(5).map((index) => `k${index}`)) {
    const numbers = rows.filter((row) => row.key === key).map(({ number }) => number);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  }
});

test('two sequencers that take the shards from each other under load: one position per row, the order of each key', async () => {
  await using setup = await setUp({ leaseMs: 400 });
  await using first = setup.start();
  await using second = setup.start();
  await first.ready;
  await second.ready;
  let stealing = true;
  const thief = (async () => {
    // As if the holder had expired: whoever comes first takes them, the other one finds out in the middle of its work.
    while (stealing) {
      await setup.database.pool.query("UPDATE outbox_shard SET holder = NULL, expires_at = '-infinity' WHERE shard % 2 = $1", [
        Math.round(Math.random()),
      ]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  await Promise.all(
    range(6).map(async (producer) => {
      for (const number of range(60)) {
        await tell(setup.database, event(`a${producer}`, number), event(`b${producer}`, number));
        (number % 2 === 0 ? first : second).wake();
      }
    }),
  );
  stealing = false;
  await thief;
  await drained(setup.database);
  const rows = await sequenced(setup.database);
  assert.equal(rows.length, 6 * 2 * 60);
  for (const [key, found] of Map.groupBy(rows, (row) => row.key)) {
    assert.deepEqual(
      found.map(({ number }) => number),
      range(60),
      key,
    );
  }
});

test('shards that another holder had in between, and that came back unnoticed: positions go on behind its', async () => {
  await using setup = await setUp();
  await using sequencer = setup.start();
  await sequencer.ready;
  await tell(setup.database, event('k', 0));
  sequencer.wake();
  await drained(setup.database);
  const other = await setup.database.pool.connect();
  await other.query('BEGIN');
  await appendOutbox(other, [{ topic: messageAccepted, event: event('k', 1) }]);
  await other.query('UPDATE outbox SET position = 2 WHERE position IS NULL');
  await other.query("UPDATE outbox_shard SET holder = NULL, expires_at = '-infinity'");
  await other.query('COMMIT');
  other.release();
  await setup.database.pool.query('SELECT pg_notify($1, $2)', [wakeChannelOf(setup.database.schema), 'leases']);
  await waitFor(() => heldByOne(setup.database), { what: 'the shards held again' });
  await tell(setup.database, event('k', 2));
  sequencer.wake();
  await drained(setup.database);
  assert.deepEqual(
    await sequenced(setup.database),
    [0, 1, 2].map((number) => ({ key: 'k', number })),
  );
});

test('numbers that were given in memory only leave no gap when every shard is lost before the next look', async () => {
  await using setup = await setUp();
  await using sequencer = setup.start();
  await sequencer.ready;
  await tell(setup.database, event('k', 0));
  sequencer.wake();
  await drained(setup.database);
  const { rows: found } = await setup.database.pool.query<{ shard: number }>('SELECT shard FROM outbox');
  const shard = found[0]!.shard;
  const takeOver = async (which: string) => {
    const client = await setup.database.pool.connect();
    await client.query('BEGIN');
    await client.query(
      `UPDATE outbox_shard SET holder = $2, machine = 'elsewhere', pid = 1, expires_at = 'infinity' WHERE shard ${which} $1`,
      [shard, randomUUID()],
    );
    return { commit: () => client.query('COMMIT').finally(() => client.release()) };
  };
  const waitsWith = (query: string) =>
    waitFor(
      async () => {
        const { rows } = await setup.database.pool.query(
          "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1 AND datname = current_database()",
          [`%${query}%`],
        );
        return rows.length > 0;
      },
      { what: query },
    );
  const one = await takeOver('=');
  const others = await takeOver('<>');
  await tell(setup.database, event('k', 1));
  sequencer.wake();
  await waitsWith('SET position');
  await one.commit();
  await waitsWith('SET holder');
  await others.commit();
  await waitFor(() => sequencer.shards.length === 0, { what: 'no shard held' });
  await setup.database.pool.query("UPDATE outbox_shard SET holder = NULL, expires_at = '-infinity'");
  await setup.database.pool.query('SELECT pg_notify($1, $2)', [wakeChannelOf(setup.database.schema), 'leases']);
  await drained(setup.database);
  assert.deepEqual(
    await sequenced(setup.database),
    [0, 1].map((number) => ({ key: 'k', number })),
  );
});

test('a row that was inserted first and commits after many renewals of the lease is not left behind', async () => {
  await using setup = await setUp({ leaseMs: 200 });
  await using sequencer = setup.start();
  await sequencer.ready;
  const slow = await setup.database.pool.connect();
  await slow.query('BEGIN');
  await appendOutbox(slow, [{ topic: messageAccepted, event: event('slow', 0) }]);
  const renewals = async () => {
    const { rows } = await setup.database.pool.query<{ at: Date }>('SELECT max(expires_at) AS at FROM outbox_shard');
    return rows[0]!.at.getTime();
  };
  // The lower bound follows the renewals; six of them with rows in between would have carried it past the slow one.
  for (const number of range(6)) {
    const before = await renewals();
    await tell(setup.database, event('fast', number));
    sequencer.wake();
    await waitFor(async () => (await renewals()) > before && (await unsequenced(setup.database)) === 0, { what: 'a renewal and a pass' });
  }
  await slow.query('COMMIT');
  slow.release();
  sequencer.wake();
  await waitFor(async () => (await sequenced(setup.database)).some(({ key }) => key === 'slow'), { what: 'the slow row' });
});

test('a pass reads nothing of what is done, also while a backup keeps its snapshot open', async () => {
  await using setup = await setUp({ leaseMs: 200 });
  await using sequencer = setup.start();
  await sequencer.ready;
  const backup = await setup.database.pool.connect();
  await backup.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await backup.query('SELECT count(*) FROM outbox');
  const statistics = async () => {
    const { rows } = await setup.database.pool.query<{ scans: number; read: number }>(
      `SELECT sum(idx_scan)::int AS scans, sum(idx_tup_read)::int AS read FROM pg_stat_user_indexes
       WHERE indexrelname ~ '^outbox_p.*_serial_idx$'`,
    );
    return rows[0]!;
  };
  for (const _ of range(10)) await tell(setup.database, ...range(500).map((number) => event(`k${number}`, number)));
  sequencer.wake();
  await drained(setup.database);
  // Until the bound has moved, each look goes over five thousand dead entries; then over those of the last two renewals.
  await waitFor(
    async () => {
      const before = await statistics();
      for (const number of range(5)) {
        await tell(setup.database, event('later', number));
        sequencer.wake();
        await drained(setup.database);
      }
      // A backend reports what it read about once a second.
      const after = await waitFor(async () => ((await statistics()).scans > before.scans ? statistics() : undefined), {
        what: 'statistics',
      });
      return after.read - before.read < (1_000 * (after.scans - before.scans)) / 9;
    },
    { what: 'passes that start behind the dead entries' },
  );
  await backup.query('COMMIT');
  backup.release();
});

test('a commit in a process that holds no lease wakes the one that does', async () => {
  await using setup = await setUp();
  await using holder = setup.start();
  await holder.ready;
  await using standby = setup.start();
  await standby.ready;
  assert.equal(standby.shards.length, 0);
  let fastest = Number.POSITIVE_INFINITY;
  // The quickest of many: a busy machine is slow at times.
  for (let number = 0; number < 60 && fastest >= 60; number++) {
    await tell(setup.database, event('k', number));
    const committedAt = performance.now();
    standby.wake();
    await waitFor(async () => (await unsequenced(setup.database)) === 0, { what: 'the row', intervalMs: 1 });
    fastest = Math.min(fastest, performance.now() - committedAt);
  }
  // Polling alone comes a quarter of a second after the look that found the one before.
  assert.ok(fastest < 60, `the fastest took ${fastest} ms`);
  await holder[Symbol.asyncDispose]();
  await waitFor(() => standby.shards.length === 16, { what: 'the standby to take over' });
});

test('a batch larger than a pass, and without a wake: all of it, in order', async () => {
  await using setup = await setUp();
  await using sequencer = setup.start();
  await sequencer.ready;
  await tell(setup.database, ...range(2_500).map((number) => event(`k${number % 3}`, number)));
  await drained(setup.database);
  for (const [key, rows] of Map.groupBy(await sequenced(setup.database), (row) => row.key)) {
    const numbers = rows.map(({ number }) => number);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      key,
    );
  }
});

test('positions go on where they were when all rows have been dropped', async () => {
  await using setup = await setUp();
  {
    await using sequencer = setup.start();
    await sequencer.ready;
    await tell(setup.database, event('k', 1), event('k', 2));
    sequencer.wake();
    await drained(setup.database);
  }
  await setup.database.pool.query('DELETE FROM outbox');
  await using sequencer = setup.start();
  await tell(setup.database, event('k', 3));
  sequencer.wake();
  await drained(setup.database);
  const { rows } = await setup.database.pool.query<{ position: string }>('SELECT position FROM outbox');
  assert.deepEqual(rows, [{ position: '3' }]);
});

test('days that are over are dropped, but not with rows that are unsequenced or that a group has not read', async () => {
  await using setup = await setUp();
  const { pool } = setup.database;
  await using first = setup.start();
  await first.ready;
  await first[Symbol.asyncDispose]();
  const days = [20, 19, 18];
  const dayMs = 86_400_000;
  const today = Math.floor(Date.now() / dayMs) * dayMs;
  const start = (ago: number) => new Date(today - ago * dayMs);
  const nameOf = (ago: number) => `outbox_p${start(ago).toISOString().slice(0, 10).replaceAll('-', '')}`;
  for (const ago of days) {
    await pool.query(
      `CREATE TABLE ${nameOf(ago)} PARTITION OF outbox FOR VALUES FROM ('${uuidAt(start(ago))}') TO ('${uuidAt(start(ago - 1))}')`,
    );
  }
  const insert = (ago: number, position: number | null) =>
    pool.query("INSERT INTO outbox (id, topic, shard, key, payload, traceparent, position) VALUES ($1, $2, 4, 'k', '', '', $3)", [
      uuidAt(new Date(start(ago).getTime() + 1_000)),
      messageAccepted.name,
      position,
    ]);
  await insert(20, 1);
  await insert(19, 2);
  await insert(18, null);
  await pool.query('CREATE SCHEMA event_log');
  await pool.query('CREATE TABLE event_log.subscription (group_name text, topic text, partition smallint, position bigint)');
  await pool.query("INSERT INTO event_log.subscription VALUES ('reader', $1, 4, 1)", [messageAccepted.name]);
  const drop = () => dropExpired(pool, { table: 'outbox', retentionDays: 7, mayDrop: isReadByAll });
  assert.deepEqual(await drop(), [nameOf(20)]);
  await pool.query('UPDATE event_log.subscription SET position = 2');
  assert.deepEqual(await drop(), [nameOf(19)]);
  await pool.query('UPDATE outbox SET position = 3');
  assert.deepEqual(await drop(), []);
  await pool.query('UPDATE event_log.subscription SET position = 3');
  // The sequencer does it by itself when it starts, and the last position outlives its row.
  const { logger, logs } = capturing();
  await using second = setup.start({ logger });
  await waitFor(async () => (await pool.query('SELECT to_regclass($1) AS there', [nameOf(18)])).rows[0].there === null, {
    what: 'the drop',
  });
  const { rows } = await pool.query('SELECT position FROM outbox_head');
  assert.deepEqual(rows, [{ position: '3' }]);
  await second[Symbol.asyncDispose]();
  assert.doesNotMatch(logs.text, /"level":"error"/);
});

test('a connection that is lost without a word is given up for another one while the service would still wait', async () => {
  await using setup = await setUp();
  const { database } = setup;
  await using sequencer = setup.start();
  await sequencer.ready;
  const { rows } = await waitFor(
    async () => {
      const found = await database.pool.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'producer' AND pid <> pg_backend_pid() AND query LIKE '%pg_snapshot_xmin%'",
      );
      return found.rows.length === 1 && found;
    },
    { what: 'its connection' },
  );
  const { pid } = rows[0]!;
  process.kill(pid, 'SIGSTOP');
  try {
    await tell(database, event('k', 1));
    sequencer.wake();
    await drained(database);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('an append that mixes two owners is refused, an empty one does nothing', async () => {
  const client = new pg.Client();
  await appendOutbox(client, []);
  const foreign = { ...messageAccepted, owner: 'delivery' };
  await assert.rejects(
    appendOutbox(client, [
      { topic: messageAccepted, event: event('k', 1) },
      { topic: foreign, event: event('k', 2) },
    ]),
    /one append can't tell events of messaging and of delivery/,
  );
});
