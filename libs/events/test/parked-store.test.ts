// What is kept aside is kept whatever it is, and wherever something was kept before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { newUuid } from '@maildoot/runtime/ids';
import { createTestDatabase } from '@maildoot/testkit/database';
import { logMigrations } from '../src/migrations.ts';
import { ParkedStore } from '../src/parked-store.ts';
import type { RawRecord } from '../src/process-batch.ts';

const topic = 'some.topic.v1';
const record = (key: string): RawRecord => {
  return { id: newUuid(), key, partition: 3, position: 7n, payload: Buffer.from(key), traceparent: '', publishedAt: new Date() };
};

test('a record is kept beside one of before at the same place, and each is handled or refused by itself', async () => {
  await using testDatabase = await createTestDatabase();
  const { url } = testDatabase;
  await migrate({ url, schema: 'event_log', migrations: [logMigrations] });
  await using database = openDatabase({ url, schema: 'event_log', maxConnections: 1, applicationName: 'parked' });
  const store = new ParkedStore(database.pool, topic, 'ours');
  const [old, young] = [record('old'), record('young')];
  for (const one of [old, young, young]) await store.park({ record: one, reason: 'refused', error: new Error('no'), attempts: 1 });
  await database.pool.query('UPDATE parked SET replay_requested_at = now()');
  assert.deepEqual((await store.toReplay(3, 10)).map(({ key }) => key).sort(), ['old', 'young']);

  await store.parkAgain({ record: young, reason: 'refused', error: new Error('still'), attempts: 1 });
  assert.deepEqual(
    (await store.toReplay(3, 10)).map(({ key }) => key),
    ['old'],
  );
  await store.unpark(old);
  const { rows } = await database.pool.query('SELECT key, error, attempts FROM parked');
  assert.deepEqual(rows, [{ key: 'young', error: 'Error: still', attempts: 2 }]);
});

test('a record with a key that no text of the database can be is kept as well', async () => {
  await using testDatabase = await createTestDatabase();
  const { url } = testDatabase;
  await migrate({ url, schema: 'event_log', migrations: [logMigrations] });
  await using database = openDatabase({ url, schema: 'event_log', maxConnections: 1, applicationName: 'parked' });
  const store = new ParkedStore(database.pool, topic, 'ours');
  const strange = { ...record('a\0b'), traceparent: '\0' };
  await store.park({ record: strange, reason: 'unreadable', error: new Error('no'), attempts: 0 });
  const { rows } = await database.pool.query('SELECT key, traceparent, payload FROM parked');
  assert.deepEqual(rows, [{ key: 'ab', traceparent: '', payload: Buffer.from('a\0b') }]);
});
