// Daily partitions on a real database.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidAt } from '@maildoot/runtime/ids';
import type { Database } from '../src/database.ts';
import { dropExpired, ensurePartitions, keepPartitions, PartitionError } from '../src/partitions.ts';
import { testDatabase, testServer, waitFor } from './support.ts';

let server: Awaited<ReturnType<typeof testServer>>;
before(async () => {
  server = await testServer();
});
after(() => server[Symbol.asyncDispose]());

const now = new Date('2026-05-10T23:59:59.999Z');
const dayMs = 86_400_000;
const days = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) =>
    new Date(now.getTime() + (from + index) * dayMs).toISOString().slice(0, 10).replaceAll('-', ''),
  );

async function tables(database: Database): Promise<void> {
  await database.pool.query(`
    CREATE TABLE by_id (id uuid PRIMARY KEY, body bytea, note text NOT NULL DEFAULT 'none', CHECK (note <> '')) PARTITION BY RANGE (id);
    ALTER TABLE by_id ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE INDEX by_id_note ON by_id (note);
    CREATE TABLE by_time (at timestamptz NOT NULL, n int) PARTITION BY RANGE (at)`);
}

test('a partition per UTC day from yesterday to a week ahead, once', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  const made = await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' }, now);
  assert.deepEqual(
    made.toSorted(),
    days(-1, 7).map((day) => `by_id_p${day}`),
  );
  assert.deepEqual(await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' }, now), []);
  const tomorrow = new Date(now.getTime() + 1);
  assert.deepEqual(await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' }, tomorrow), [`by_id_p${days(8, 8)[0]}`]);
  await ensurePartitions(database.pool, { table: 'by_time', by: 'timestamp', aheadDays: 1, backDays: 2 }, now);
  const { rows } = await database.pool.query(
    "SELECT relname FROM pg_class WHERE relname LIKE 'by_time_p%' AND relnamespace = $1::regnamespace ORDER BY 1",
    [database.schema],
  );
  assert.deepEqual(
    rows.map(({ relname }) => relname),
    days(-2, 1).map((day) => `by_time_p${day}`),
  );
});

test('rows of a day, its first and last millisecond included, are in its partition, with the indexes, checks and storage of the table', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  const { pool } = database;
  await ensurePartitions(pool, { table: 'by_id', by: 'uuidv7', storage: { fillfactor: 70 } }, now);
  await ensurePartitions(pool, { table: 'by_time', by: 'timestamp' }, now);
  for (const iso of ['2026-05-10T00:00:00.000Z', '2026-05-10T23:59:59.999Z']) {
    const { rows } = await pool.query('INSERT INTO by_id (id) VALUES ($1) RETURNING tableoid::regclass::text AS part', [
      uuidAt(new Date(iso)),
    ]);
    assert.equal(rows[0].part, 'by_id_p20260510');
    const time = await pool.query('INSERT INTO by_time VALUES ($1) RETURNING tableoid::regclass::text AS part', [iso]);
    assert.equal(time.rows[0].part, 'by_time_p20260510');
  }
  await assert.rejects(pool.query('INSERT INTO by_id (id) VALUES ($1)', [uuidAt(new Date('2026-05-08T23:59:59.999Z'))]), { code: '23514' });
  await assert.rejects(pool.query("INSERT INTO by_id (id, note) VALUES ($1, '')", [uuidAt(now)]), { code: '23514' });
  await assert.rejects(pool.query('INSERT INTO by_id (id) VALUES ($1)', [uuidAt(now)]), { code: '23505' });
  const { rows } = await pool.query(`SELECT
      (SELECT count(*)::int FROM pg_index WHERE indrelid = 'by_id_p20260510'::regclass) AS indexes,
      (SELECT count(*)::int FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid WHERE indrelid = 'by_id_p20260510'::regclass) AS attached,
      (SELECT attstorage FROM pg_attribute WHERE attrelid = 'by_id_p20260510'::regclass AND attname = 'body') AS storage,
      (SELECT reloptions FROM pg_class WHERE oid = 'by_id_p20260510'::regclass) AS options`);
  assert.deepEqual(rows[0], { indexes: 2, attached: 2, storage: 'e', options: ['fillfactor=70'] });
});

test('the ids that are made now have a partition now', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' });
  await database.pool.query('INSERT INTO by_id (id) VALUES ($1)', [newUuid()]);
});

test('several processes at once make each partition once', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  const made = await Promise.all(Array.from({ length: 6 }, () => ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' }, now)));
  assert.equal(made.flat().length, 9);
});

test('making partitions does not shut out those who read and write the table', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7', aheadDays: 0 }, now);
  await database.transaction(async (client) => {
    await client.query('INSERT INTO by_id (id) VALUES ($1)', [uuidAt(now)]);
    await client.query('SELECT * FROM by_id');
    assert.equal((await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7', aheadDays: 1 }, now)).length, 1);
  });
});

test('a failure says which table, why, and until when there is room', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7', aheadDays: 2 }, now);
  await database.pool.query(`CREATE TABLE by_id_p${days(3, 3)[0]} (id int)`);
  await assert.rejects(ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7' }, now), (error) => {
    assert.ok(error instanceof PartitionError);
    assert.equal(error.table, 'by_id');
    assert.equal(error.coveredUntil?.toISOString(), '2026-05-13T00:00:00.000Z');
    assert.match(error.message, /already exists/);
    return true;
  });
  await assert.rejects(ensurePartitions(database.pool, { table: 'nowhere', by: 'uuidv7' }, now), /nowhere is no partitioned table/);
});

test('what is over is dropped whole, what is not done with stays', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  const { pool } = database;
  await ensurePartitions(pool, { table: 'by_id', by: 'uuidv7', backDays: 5, aheadDays: 0 }, now);
  assert.deepEqual(await dropExpired(pool, { table: 'by_id', retentionDays: 6 }, now), []);
  // 2026-05-05 ended at 05-06T00:00; three days and a millisecond before `now` is 05-07T23:59:59.999: 05, 06 are over, 07 is not.
  const kept = 'by_id_p20260505';
  const asked: string[] = [];
  const mayDrop = async (_: unknown, partition: string): Promise<boolean> => {
    asked.push(partition);
    return partition !== kept;
  };
  assert.deepEqual(await dropExpired(pool, { table: 'by_id', retentionDays: 3, mayDrop }, now), ['by_id_p20260506']);
  assert.deepEqual(asked, [kept, 'by_id_p20260506']);
  assert.deepEqual(await dropExpired(pool, { table: 'by_id', retentionDays: 3 }, now), [kept]);
});

test('a partition that somebody reads just now waits for the next time', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  await ensurePartitions(database.pool, { table: 'by_id', by: 'uuidv7', backDays: 2 }, now);
  await database.transaction(async (client) => {
    await client.query('SELECT * FROM by_id');
    assert.deepEqual(await dropExpired(database.pool, { table: 'by_id', retentionDays: 1 }, now), []);
  });
  assert.deepEqual(await dropExpired(database.pool, { table: 'by_id', retentionDays: 1 }, now), ['by_id_p20260508']);
});

test('the keeper makes them before it returns, goes on as time passes, and reports a failure', async () => {
  await using database = await testDatabase(server.url);
  await tables(database);
  let time = now.getTime();
  let wake: (() => void) | undefined;
  const clock: Clock = {
    now: () => new Date(time),
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        wake = resolve;
        if (signal?.aborted) reject(signal.reason);
        signal?.addEventListener('abort', () => reject(signal.reason));
      }),
  };
  const failures: unknown[] = [];
  const exists = async (day: string): Promise<boolean> =>
    (await database.pool.query('SELECT to_regclass($1) AS oid', [`by_id_p${day}`])).rows[0].oid !== null;
  await using _ = await keepPartitions({
    pool: database.pool,
    tables: [{ table: 'by_id', by: 'uuidv7', retentionDays: 3 }],
    clock,
    onFailure: (error) => void failures.push(error),
  });
  assert.equal(await exists(days(7, 7)[0]!), true);
  time += 5 * dayMs;
  const nextRound = async (): Promise<void> => {
    await waitFor('it sleeps', () => wake !== undefined);
    const go = wake;
    wake = undefined;
    go?.();
  };
  await nextRound();
  await waitFor('new ones are made', () => exists(days(12, 12)[0]!));
  await waitFor('old ones are dropped', async () => !(await exists(days(-1, -1)[0]!)));
  await waitFor('it sleeps', () => wake !== undefined);
  await database.pool.query('DROP TABLE by_id');
  await nextRound();
  await waitFor('the failure is told', () => failures.length > 0);
  assert.ok(failures[0] instanceof PartitionError);
});
