// The pool: its schema, its transactions, and what happens to both when connections break.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { type Database, openDatabase } from '../src/database.ts';
import { CommitOutcomeUnknown, isConnectionError, isUniqueViolation, TransactionAborted } from '../src/errors.ts';
import { GroupCommit } from '../src/group-commit.ts';
import {
  booleanArray,
  byteaArray,
  integerArray,
  jsonbArray,
  smallintArray,
  textArray,
  timestampArray,
  uuidArray,
} from '../src/parameters.ts';
import { startCommitCutter } from './fixtures/commit-cutter.ts';
import { testDatabase, testServer, waitFor } from './support.ts';

let server: Awaited<ReturnType<typeof testServer>>;
before(async () => {
  server = await testServer();
});
after(() => server[Symbol.asyncDispose]());

async function count(database: Database, table: string): Promise<number> {
  const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return rows[0]!.n;
}

test('unqualified names mean the own schema, for SQL and for the Prisma adapter, on one pool', async () => {
  await using database = await testDatabase(server.url, { maxConnections: 2, applicationName: 'own-schema' });
  await database.pool.query('CREATE TABLE here (id int)');
  const { rows } = await database.pool.query("SELECT schemaname FROM pg_tables WHERE tablename = 'here'");
  assert.equal(rows[0].schemaname, database.schema);

  const adapter = await database.prismaAdapter().connect();
  assert.equal(adapter.getConnectionInfo?.().schemaName, database.schema);
  assert.equal(adapter.underlyingDriver(), database.pool);
  await adapter.executeRaw({ sql: 'INSERT INTO here VALUES (1)', args: [], argTypes: [] });
  await adapter.dispose();
  assert.equal(await count(database, 'here'), 1, 'the pool outlives the Prisma client');

  await Promise.all(Array.from({ length: 10 }, () => database.pool.query('SELECT pg_sleep(0.01)')));
  const connections = await database.pool.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'own-schema'");
  assert.equal(connections.rows[0].n, 2);
});

test('options that the URL brings are kept', async () => {
  const url = new URL(server.url);
  url.searchParams.set('options', '-c work_mem=12345kB');
  await using database = await testDatabase(url.href);
  assert.equal((await database.pool.query('SHOW work_mem')).rows[0].work_mem, '12345kB');
  assert.equal((await database.pool.query('SHOW search_path')).rows[0].search_path, database.schema);
});

test('a transaction commits, or leaves nothing and gives its connection back', async () => {
  await using database = await testDatabase(server.url, { maxConnections: 1 });
  await database.pool.query('CREATE TABLE t (id int PRIMARY KEY)');
  assert.equal(await database.transaction(async (client) => (await client.query('INSERT INTO t VALUES (1)')).rowCount), 1);
  const wanted = new Error('changed my mind');
  await assert.rejects(
    database.transaction(async (client) => {
      await client.query('INSERT INTO t VALUES (2)');
      throw wanted;
    }),
    wanted,
  );
  await assert.rejects(
    database.transaction((client) => client.query('INSERT INTO t VALUES (1)')),
    (error) => isUniqueViolation(error, 't_pkey'),
  );
  assert.equal(await count(database, 't'), 1);
  assert.equal(database.pool.totalCount, 1, 'and the one connection is still the same');
});

test('a COMMIT that the server answers with ROLLBACK is an error', async () => {
  await using database = await testDatabase(server.url);
  await database.pool.query('CREATE TABLE t (id int PRIMARY KEY)');
  await assert.rejects(
    database.transaction(async (client) => {
      await client.query('INSERT INTO t VALUES (1)');
      await client.query('INSERT INTO t VALUES (1)').catch(() => {});
    }),
    TransactionAborted,
  );
});

test('a failure that COMMIT itself reports is certain, not unknown', async () => {
  await using database = await testDatabase(server.url, { maxConnections: 1 });
  await database.pool.query('CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  await assert.rejects(
    database.transaction((client) => client.query('INSERT INTO t VALUES (1), (1)')),
    (error) => isUniqueViolation(error) && !(error instanceof CommitOutcomeUnknown),
  );
  assert.equal(await count(database, 't'), 0);
});

test('isolation and read only are passed on', async () => {
  await using database = await testDatabase(server.url);
  const show = (name: string) => async (client: { query(sql: string): Promise<{ rows: Record<string, string>[] }> }) =>
    (await client.query(`SHOW ${name}`)).rows[0]?.[name];
  assert.equal(await database.transaction(show('transaction_isolation'), { isolation: 'serializable' }), 'serializable');
  assert.equal(await database.transaction(show('transaction_read_only'), { readOnly: true }), 'on');
});

for (const cut of ['answer', 'commit'] as const) {
  test(`the connection is lost during COMMIT (the ${cut} is lost): the outcome is unknown, and the pool goes on`, async () => {
    await using cutter = await startCommitCutter(server.url);
    await using direct = await testDatabase(server.url);
    await using database = await testDatabase(cutter.url, { schema: direct.schema, maxConnections: 1 });
    await direct.pool.query('CREATE TABLE t (id int)');
    cutter.cut = cut;
    await assert.rejects(
      database.transaction((client) => client.query('INSERT INTO t VALUES (1)')),
      (error) => error instanceof CommitOutcomeUnknown && isConnectionError(error),
    );
    assert.equal(await count(direct, 't'), cut === 'answer' ? 1 : 0, 'this is why nobody may guess');
    await database.transaction((client) => client.query('INSERT INTO t VALUES (2)'));
  });

  test(`in a group, the connection lost during COMMIT (the ${cut} is lost) is everybody's and nothing is written twice`, async () => {
    await using cutter = await startCommitCutter(server.url);
    await using direct = await testDatabase(server.url);
    await using database = await testDatabase(cutter.url, { schema: direct.schema });
    await direct.pool.query('CREATE TABLE t (id int)');
    const group = new GroupCommit<number, number>({
      sizeOf: () => 1,
      commit: (items) =>
        database.transaction(async (client) => {
          await client.query('INSERT INTO t SELECT unnest($1::int[])', [items]);
          return items;
        }),
    });
    cutter.cut = cut;
    const results = await Promise.allSettled([1, 2, 3].map((item) => group.submit(item)));
    for (const result of results) assert.ok(result.status === 'rejected' && result.reason instanceof CommitOutcomeUnknown);
    assert.equal(await count(direct, 't'), cut === 'answer' ? 3 : 0);
  });
}

test('one bad item in a group fails alone, on the real database', async () => {
  await using database = await testDatabase(server.url);
  await database.pool.query('CREATE TABLE t (id int PRIMARY KEY, body text)');
  const group = new GroupCommit<{ id: number; body: string }, number>({
    sizeOf: ({ body }) => body.length,
    commit: (items) =>
      database.transaction(async (client) => {
        await client.query('INSERT INTO t SELECT * FROM unnest($1::int[], $2::text[])', [items.map((i) => i.id), items.map((i) => i.body)]);
        return items.map(({ id }) => id);
      }),
  });
  const bodies = ['fine', 'a NUL byte \0 here', 'fine', 'fine'];
  const results = await Promise.allSettled(bodies.map((body, id) => group.submit({ id: id === 3 ? 2 : id, body })));
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
    'the NUL byte and the duplicate',
  );
  assert.equal(await count(database, 't'), 2);
});

test('connections that break while idle or in use never end the process, and the next query works', async () => {
  await using cutter = await startCommitCutter(server.url);
  await using direct = await testDatabase(server.url);
  const warned: string[] = [];
  const logger = { info() {}, warn: (_: object, message: string) => void warned.push(message), error() {} };
  await using database = await testDatabase(cutter.url, { schema: direct.schema, logger, maxConnections: 2 });
  await database.pool.query('SELECT 1');
  cutter.cutAll();
  await waitFor('the pool noticed', () => database.pool.totalCount === 0);
  assert.deepEqual(warned, ['database: a connection was lost']);
  const held = await database.pool.connect();
  cutter.cutAll();
  await assert.rejects(held.query('SELECT 1'), (error) => isConnectionError(error));
  held.release();
  await assert.rejects(
    database.transaction(async (client) => {
      cutter.cutAll();
      await client.query('SELECT 1');
    }),
    (error) => isConnectionError(error) && !(error instanceof CommitOutcomeUnknown),
    'before COMMIT nothing is unknown',
  );
  assert.equal((await database.pool.query('SELECT 1 AS one')).rows[0].one, 1);
});

test('a connection whose answer does not come leaves the pool, else the next one would wait behind it', async () => {
  await using database = await testDatabase(server.url, { maxConnections: 1 });
  const unanswered = { text: 'SELECT pg_sleep(20)', query_timeout: 50 };
  await assert.rejects(
    database.transaction((client) => client.query(unanswered)),
    (error) => isConnectionError(error),
  );
  assert.equal(database.pool.totalCount, 0);
});

test('no free connection, and no database at all, are connection errors within the limit', async () => {
  await using database = openDatabase({
    url: server.url,
    schema: 'public',
    maxConnections: 1,
    applicationName: 'test',
    connectTimeoutMs: 100,
  });
  // To be connected may take a busy machine longer.
  const connections: pg.PoolClient[] = [];
  await waitFor('a connection', async () => {
    connections.push(
      ...(await database.pool.connect().then(
        (one) => [one],
        () => [],
      )),
    );
    return connections.length > 0;
  });
  await assert.rejects(database.pool.query('SELECT 1'), (error) => isConnectionError(error));
  for (const held of connections) held.release();
  const nowhere = new URL(server.url);
  nowhere.port = '1';
  await assert.rejects(testDatabase(nowhere.href), (error) => isConnectionError(error));
});

test('a statement that runs too long is ended', async () => {
  await using database = openDatabase({
    url: server.url,
    schema: 'public',
    maxConnections: 1,
    applicationName: 'test',
    statementTimeoutMs: 50,
  });
  await assert.rejects(database.pool.query('SELECT pg_sleep(10)'), { code: '57014' });
});

test('a binary array of bytea arrives as it was', async () => {
  await using database = await testDatabase(server.url);
  const items = [Buffer.alloc(0), Buffer.from([0, 1, 92, 34, 255]), null, Buffer.alloc(300_000, 7)];
  const read = async (some: (Buffer | null)[]) =>
    (
      await database.pool.query<{ item: Buffer | null }>(
        'SELECT item FROM unnest($1::bytea[]) WITH ORDINALITY AS t(item, at) ORDER BY at',
        [byteaArray(some)],
      )
    ).rows.map(({ item }) => item);
  assert.deepEqual(await read(items), items);
  assert.deepEqual(await read([]), []);
});

const uuid = '01890a5d-ac96-774b-bcce-b302099a8057';
for (const [type, parameter, items] of [
  ['uuid', uuidArray([uuid, null]), [uuid, null]],
  ['text', textArray(['', 'grüße 🙂', null, 'a "quoted" \\ {one}']), ['', 'grüße 🙂', null, 'a "quoted" \\ {one}']],
  ['jsonb', jsonbArray(['{"ü": [1, null]}', null]), [{ ü: [1, null] }, null]],
  ['smallint', smallintArray([-32768, 0, 32767, null]), [-32768, 0, 32767, null]],
  ['int', integerArray([-(2 ** 31), 2 ** 31 - 1, null]), [-(2 ** 31), 2 ** 31 - 1, null]],
  ['bool', booleanArray([true, false, null]), [true, false, null]],
  [
    'timestamptz',
    timestampArray([new Date(0), new Date('2026-11-21T12:00:00.123Z'), null]),
    [new Date(0), new Date('2026-11-21T12:00:00.123Z'), null],
  ],
  ['uuid', uuidArray([]), []],
] as const) {
  test(`a binary array of ${type} with ${items.length} elements arrives as it was`, async () => {
    await using database = await testDatabase(server.url);
    const { rows } = await database.pool.query<{ item: unknown }>(
      `SELECT item FROM unnest($1::${type}[]) WITH ORDINALITY AS t(item, at) ORDER BY at`,
      [parameter],
    );
    assert.deepEqual(
      rows.map(({ item }) => item),
      items,
    );
  });
}

test('a schema name that is no plain name is refused, for it becomes part of a setting', async () => {
  await assert.rejects(testDatabase(server.url, { schema: 'x -c fsync=off' }), TypeError);
});

test('who has closed it has no connection left: a server that stops next has nobody to tell', async () => {
  // It has made one to be set up with; two more come.
  const database = await testDatabase(server.url, { maxConnections: 3 });
  const closed: (() => boolean)[] = [];
  database.pool.on('connect', ({ connection: { stream } }) => closed.push(() => stream.closed));
  await Promise.all([1, 2, 3].map(() => database.pool.query('SELECT pg_sleep(0.01)')));
  await database[Symbol.asyncDispose]();
  assert.deepEqual(
    closed.map((isClosed) => isClosed()),
    [true, true],
  );
});
