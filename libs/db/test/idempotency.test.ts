// Idempotency records on a real database: one effect per key, however the requests meet.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { systemClock } from '@maildoot/runtime/clock';
import { type Database, openDatabase } from '../src/database.ts';
import {
  claim,
  expire,
  findRecord,
  findRecords,
  type IdempotencyRequest,
  idempotencyLifetimeMs,
  requestHash,
  store,
} from '../src/idempotency.ts';
import { keepExpiring } from '../src/idempotency-expiry.ts';
import { migrate } from '../src/migrate.ts';
import { dbMigrations } from '../src/migrations.ts';
import { testServer } from './support.ts';

let server: Awaited<ReturnType<typeof testServer>>;
let database: Database;
before(async () => {
  server = await testServer();
  await migrate({ url: server.url, schema: 'idem', migrations: [dbMigrations] });
  database = openDatabase({ url: server.url, schema: 'idem', maxConnections: 12, applicationName: 'test' });
  await database.pool.query('CREATE TABLE effect (key text)');
});
after(async () => {
  await database[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const tenantId = randomUUID();
const request = (key: string, body = 'body', over: Partial<IdempotencyRequest> = {}): IdempotencyRequest => ({
  tenantId,
  operation: 'create_thing',
  key,
  requestHash: requestHash(body),
  ...over,
});

/** What a service does with a batch: claim, have the effect, store; says what each request came to. */
async function handle(requests: IdempotencyRequest[], now?: Date): Promise<string[]> {
  return database.transaction(async (client) => {
    const claims = await claim(client, requests, now);
    const mine = requests.filter((_, index) => claims[index]?.outcome === 'claimed');
    await client.query('INSERT INTO effect SELECT unnest($1::text[])', [mine.map(({ key }) => key)]);
    await store(
      client,
      mine.map((one) => ({ ...one, response: Buffer.from(`answer to ${one.key}`) })),
      now,
    );
    return claims.map((one) => one.outcome);
  });
}

async function effects(key: string): Promise<number> {
  return (await database.pool.query('SELECT count(*)::int AS n FROM effect WHERE key = $1', [key])).rows[0].n;
}

test('a new key is claimed; again it is replayed; another body is a mismatch', async () => {
  assert.deepEqual(await findRecord(database.pool, request('a')), { outcome: 'absent' });
  assert.deepEqual(await handle([request('a')]), ['claimed']);
  assert.deepEqual(await handle([request('a'), request('a', 'other body'), request('fresh')]), ['replay', 'mismatch', 'claimed']);
  const found = await findRecord(database.pool, request('a'));
  assert.equal(found.outcome === 'replay' && found.response.toString(), 'answer to a');
  assert.equal(await effects('a'), 1);
});

test('tenant and operation are part of the key', async () => {
  const others = [request('b', 'x', { tenantId: randomUUID() }), request('b', 'x', { operation: 'create_other' })];
  assert.deepEqual(await handle([request('b'), ...others]), ['claimed', 'claimed', 'claimed']);
});

test('twice in one batch: the first gets it, the second is in progress', async () => {
  assert.deepEqual(await handle([request('c'), request('c'), request('c', 'other')]), ['claimed', 'in_progress', 'in_progress']);
  assert.equal(await effects('c'), 1);
});

test('while another transaction has the key nobody waits: in progress; after its rollback the key is free again', async () => {
  const wanted = new Error('roll back');
  const rolledBack = database.transaction(async (client) => {
    assert.deepEqual(await claim(client, [request('d')]), [{ outcome: 'claimed' }]);
    assert.deepEqual(await handle([request('d'), request('d2')]), ['in_progress', 'claimed']);
    throw wanted;
  });
  await assert.rejects(rolledBack, wanted);
  assert.deepEqual(await handle([request('d')]), ['claimed']);
});

test('many at once, in batches of different order: one effect per key, no deadlock', async () => {
  const keys = Array.from({ length: 12 }, (_, index) => `many-${index}`);
  const shuffled = (seed: number) =>
    keys.toSorted((a, b) => Math.sin(seed * a.length + Number(a.slice(5)) * seed) - Math.sin(seed + Number(b.slice(5)) * seed));
  for (let round = 0; round < 15; round++) {
    await Promise.all(
      Array.from({ length: 10 }, (_, index) => handle(shuffled(index + round * 10).map((key) => request(`${round}-${key}`)))),
    );
    for (const key of keys) assert.equal(await effects(`${round}-${key}`), 1, `${round}-${key}`);
  }
});

test('a claim that starts before another commits and reads after it replays: the records are read after the locks', async () => {
  // The other commits, and lets its lock go, just before we take the lock.
  const ours = await database.pool.connect();
  await ours.query('BEGIN');
  const query = ours.query.bind(ours) as (...args: unknown[]) => Promise<unknown>;
  let met = false;
  const spied = Object.create(ours, {
    query: {
      value: async (sql: string, values: unknown[]) => {
        if (sql.includes('pg_try_advisory_xact_lock')) {
          await handle([request('e')]);
          met = true;
        }
        return query(sql, values);
      },
    },
  });
  const [outcome] = await claim(spied, [request('e')]);
  assert.equal(met, true);
  assert.equal(outcome?.outcome, 'replay');
  await ours.query('ROLLBACK');
  ours.release();
});

test('after 24 hours a key is free, before the record is deleted and after', async () => {
  const then = new Date('2026-03-01T00:00:00Z');
  const late = new Date(then.getTime() + idempotencyLifetimeMs);
  assert.deepEqual(await handle([request('f')], then), ['claimed']);
  assert.deepEqual(await handle([request('f')], new Date(late.getTime() - 1)), ['replay']);
  assert.equal((await findRecord(database.pool, request('f'), late)).outcome, 'absent');
  assert.deepEqual(await handle([request('f', 'another body')], late), ['claimed']);
  assert.equal((await findRecord(database.pool, request('f', 'another body'), late)).outcome, 'replay');
});

test('expired records are deleted in batches, valid ones stay', async () => {
  const then = new Date('2026-01-01T00:00:00Z');
  await handle(
    Array.from({ length: 25 }, (_, index) => request(`old-${index}`)),
    then,
  );
  await handle([request('young')]);
  assert.equal(await expire(database.pool, new Date(then.getTime() + idempotencyLifetimeMs - 1), 10), 0);
  assert.equal(await expire(database.pool, new Date(then.getTime() + idempotencyLifetimeMs), 10), 25);
  assert.equal((await findRecord(database.pool, request('young'))).outcome, 'replay');
});

test('they go by themselves when their day is over by the given clock', async () => {
  const then = new Date(Date.now() + 3_600_000);
  const over = new Date(then.getTime() + idempotencyLifetimeMs);
  await handle([request('by-itself')], then);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  await using _ = keepExpiring({ pool: database.pool, clock: { ...systemClock, now: () => over }, onExpired: resolve, onFailure: reject });
  assert.ok((await promise) > 0);
  assert.equal((await findRecord(database.pool, request('by-itself'), then)).outcome, 'absent');
});

test('storing without a claim over a valid record is refused, and nothing of it stays', async () => {
  await handle([request('g')]);
  const stored = database.transaction((client) =>
    store(client, [
      { ...request('g', 'other'), response: Buffer.from('x') },
      { ...request('h'), response: Buffer.from('y') },
    ]),
  );
  await assert.rejects(stored, /without a claim/);
  assert.deepEqual(
    (await findRecords(database.pool, [request('g'), request('h')])).map((one) => one.outcome),
    ['replay', 'absent'],
  );
});

test('parts of a request are hashed with their borders', () => {
  assert.notDeepEqual(requestHash('ab', 'c'), requestHash('a', 'bc'));
  assert.deepEqual(requestHash('a', Buffer.from('b')), requestHash('a', 'b'));
});
