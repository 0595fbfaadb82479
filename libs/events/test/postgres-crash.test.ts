// PostgreSQL dies and comes back while events are told and read: what was committed is read, in order, each position given once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '@maildoot/db/database';
import { isConnectionError } from '@maildoot/db/errors';
import { startTestPostgres } from '@maildoot/testkit/postgres';
import { waitFor } from '@maildoot/testkit/wait';
import { createPostgresLog } from '../src/postgres-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import { event, numberOf, openProducer, range, silent, tell } from './fixtures.ts';

test('PostgreSQL crashes three times under load', async () => {
  // Its own server: the crash would hit every other test.
  await using postgres = await startTestPostgres();
  const { url } = postgres;
  await using database = await openProducer(url);
  await using sequencer = startSequencer({ database, logger: silent });
  await sequencer.ready;
  await using log = createPostgresLog({ url, logger: silent });
  const seen = new Map<string, { key: string; number: number }>();
  log.subscribe(messageAccepted, {
    group: 'g',
    maxBatch: 20,
    async handle(records) {
      for (const record of records) if (!seen.has(record.id)) seen.set(record.id, { key: record.key, number: numberOf(record) });
    },
  });
  const acknowledged = new Map<string, number[]>();
  let producing = true;
  const producers = range(4).map(async (producer) => {
    const key = `k${producer}`;
    const numbers: number[] = [];
    acknowledged.set(key, numbers);
    for (let number = 0; producing; number++) {
      try {
        await tell(database, event(key, number));
        numbers.push(number);
        sequencer.wake();
      } catch (error) {
        assert.ok(isConnectionError(error), String(error));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  await using _producing = {
    async [Symbol.asyncDispose]() {
      producing = false;
      await Promise.allSettled(producers);
    },
  };
  await using watcher = openDatabase({ url, schema: 'messaging', maxConnections: 1, applicationName: 'watcher' });
  for (const _ of range(3)) {
    const before = seen.size;
    await waitFor(() => seen.size > before + 100, { what: 'records between crashes' });
    const { rows } = await watcher.pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    // A backend killed by SIGKILL makes the postmaster end all others and recover from the WAL, as after a power cut.
    process.kill(rows[0]!.pid, 'SIGKILL');
    await waitFor(async () => (await watcher.pool.query('SELECT 1')).rowCount === 1, {
      what: 'PostgreSQL to come back',
    });
  }
  const before = seen.size;
  await waitFor(() => seen.size > before + 100, { what: 'records after the last crash' });
  producing = false;
  await Promise.all(producers);
  const found = () => new Set([...seen.values()].map(({ key, number }) => `${key} ${number}`));
  const expected = [...acknowledged].flatMap(([key, numbers]) => numbers.map((number) => `${key} ${number}`));
  await waitFor(() => expected.every((one) => found().has(one)), { what: 'every acknowledged event' });
  for (const key of acknowledged.keys()) {
    const numbers = [...seen.values()].filter((one) => one.key === key).map(({ number }) => number);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      `order of ${key}`,
    );
  }
  const { rows } = await database.pool.query(
    'SELECT FROM outbox WHERE position IS NOT NULL GROUP BY topic, shard, position HAVING count(*) > 1',
  );
  assert.equal(rows.length, 0, 'a position was given twice');
});
