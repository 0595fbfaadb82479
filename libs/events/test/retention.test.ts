// Which days of an outbox may be dropped: never one with a row that somebody still has to get.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Database } from '@maildoot/db/database';
import { newUuid } from '@maildoot/runtime/ids';
import { createTestDatabase } from '@maildoot/testkit/database';
import { waitFor } from '@maildoot/testkit/wait';
import { isPublished } from '../src/retention.ts';
import { startSequencer } from '../src/sequencer.ts';
import { event, openProducer, range, silent, tell } from './fixtures.ts';

async function mayDrop({ pool }: Database): Promise<boolean> {
  const { rows } = await pool.query<{ partition: string }>('SELECT DISTINCT tableoid::regclass::text AS partition FROM outbox');
  assert.ok(rows.length > 0);
  const client = await pool.connect();
  try {
    // One, or two where midnight is passed meanwhile.
    const published: boolean[] = [];
    for (const { partition } of rows) published.push(await isPublished(client, partition));
    return published.every((is) => is);
  } finally {
    client.release();
  }
}

test('where events go through Kafka, a day is kept until each of its rows is sequenced and published', async () => {
  await using testDatabase = await createTestDatabase();
  await using database = await openProducer(testDatabase.url);
  {
    await using sequencer = startSequencer({ database, logger: silent });
    await sequencer.ready;
    await tell(database, ...range(40).map((number) => event(`key ${number}`, number)));
    sequencer.wake();
    await waitFor(async () => (await database.pool.query('SELECT FROM outbox WHERE position IS NULL')).rowCount === 0, {
      what: 'positions',
    });
  }
  assert.equal(await mayDrop(database), false, 'nothing is published');
  await database.pool.query('INSERT INTO outbox_published SELECT topic, shard, max(position) FROM outbox GROUP BY topic, shard');
  assert.equal(await mayDrop(database), true, 'everything is published');
  await database.pool.query('UPDATE outbox_published SET position = position - 1 WHERE shard = (SELECT min(shard) FROM outbox)');
  assert.equal(await mayDrop(database), false, 'one row of one shard is not published');
  await database.pool.query('UPDATE outbox_published SET position = position + 1 WHERE shard = (SELECT min(shard) FROM outbox)');
  await tell(database, event('late', 1));
  assert.equal(await mayDrop(database), false, 'one row has no position');
});

test('whether a day is published is found out without reading its rows', async () => {
  await using testDatabase = await createTestDatabase();
  await using database = await openProducer(testDatabase.url);
  {
    await using sequencer = startSequencer({ database, logger: silent });
    await sequencer.ready;
  }
  await database.pool.query(
    `INSERT INTO outbox (id, topic, shard, key, payload, traceparent, position)
     SELECT id, 'messaging.message-accepted.v1', number % 16, 'key', decode(repeat('00', 500), 'hex'), '', number / 16 + 1
     FROM unnest($1::uuid[]) WITH ORDINALITY AS told (id, number)`,
    [range(5_000).map(newUuid)],
  );
  await database.pool.query('INSERT INTO outbox_published SELECT topic, shard, max(position) FROM outbox GROUP BY topic, shard');
  await database.pool.query('ANALYZE outbox');
  const { rows } = await database.pool.query<{ partition: string }>('SELECT DISTINCT tableoid::regclass::text AS partition FROM outbox');
  const read = await database.transaction(async (client) => {
    const readSoFar = async (): Promise<number> => {
      const { rows: counted } = await client.query<{ read: number }>(
        'SELECT sum(seq_tup_read + idx_tup_fetch)::int AS read FROM pg_stat_xact_user_tables WHERE relname = ANY($1)',
        [rows.map(({ partition }) => partition)],
      );
      return counted[0]!.read;
    };
    const before = await readSoFar();
    for (const { partition } of rows) assert.equal(await isPublished(client, partition), true);
    return (await readSoFar()) - before;
  });
  assert.ok(read < 200, `${read} rows were read to answer for 5,000`);
});
