// Which days of an outbox may be dropped: never one with a row that somebody still has to get.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Database } from '@maildoot/db/database';
import { createTestDatabase } from '@maildoot/testkit/database';
import { waitFor } from '@maildoot/testkit/wait';
import { isPublished } from '../src/retention.ts';
import { startSequencer } from '../src/sequencer.ts';
import { event, openProducer, range, silent, tell } from './fixtures.ts';

async function mayDrop({ pool }: Database): Promise<boolean> {
  const { rows } = await pool.query<{ partition: string }>('SELECT DISTINCT tableoid::regclass::text AS partition FROM outbox');
  assert.equal(rows.length, 1);
  const client = await pool.connect();
  try {
    return await isPublished(client, rows[0]!.partition);
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
