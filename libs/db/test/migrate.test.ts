// Migrations: applied once, in order, safe against a second process, a failure and a kill.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { migrate } from '../src/migrate.ts';
import { dbMigrations } from '../src/migrations.ts';
import { temporaryDirectory, testServer, waitFor } from './support.ts';

let server: Awaited<ReturnType<typeof testServer>>;
let client: pg.Client;
before(async () => {
  server = await testServer();
  client = new pg.Client({ connectionString: server.url });
  await client.connect();
});
after(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

async function directoryWith(path: string, migrations: Record<string, string>): Promise<string> {
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(join(path, name), { recursive: true });
    await writeFile(join(path, name, 'migration.sql'), sql);
  }
  return path;
}

async function tables(schema: string): Promise<string[]> {
  const { rows } = await client.query('SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1', [schema]);
  return rows.map((row) => row.tablename).filter((name) => name !== '_prisma_migrations');
}

test('the own migrations and those of libraries, in the order of their names, once', async () => {
  await using directory = await temporaryDirectory();
  const own = await directoryWith(join(directory.path, 'own'), {
    '20260102000000_more': 'ALTER TABLE a ADD COLUMN b int;',
    '20260101000000_first': 'CREATE TABLE a (id int);',
  });
  const options = { url: server.url, schema: 'mixed', migrations: [own, dbMigrations] };
  assert.deepEqual((await migrate(options)).applied, ['20260101000000_first', '20260102000000_more', '20261101000000_idempotency_record']);
  assert.deepEqual(await tables('mixed'), ['a', 'idempotency_record']);
  assert.deepEqual((await migrate(options)).applied, []);
  await directoryWith(own, { '20260103000000_later': 'CREATE TABLE c (id int);' });
  assert.deepEqual((await migrate(options)).applied, ['20260103000000_later'], 'though a library had a later one already');
  const { rows } = await client.query(
    'SELECT count(*)::int AS n FROM mixed._prisma_migrations WHERE finished_at IS NOT NULL AND applied_steps_count = 1',
  );
  assert.equal(rows[0].n, 4, "Prisma's own history");
});

test('semicolons in strings, function bodies and comments do not cut a script', async () => {
  await using directory = await temporaryDirectory();
  const own = await directoryWith(directory.path, {
    '20260101000000_code': `CREATE TABLE t (id int);
      CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); RETURN 1; END $$;
      COMMENT ON TABLE t IS 'a; b'; -- and; the end`,
  });
  await migrate({ url: server.url, schema: 'code', migrations: [own] });
  await client.query('SET search_path = code');
  assert.equal((await client.query('SELECT f() AS one')).rows[0].one, 1);
  await client.query('RESET search_path');
});

test('a script that fails leaves nothing, says what and where, and runs once it is corrected', async () => {
  await using directory = await temporaryDirectory();
  const name = '20260101000000_wrong';
  const own = await directoryWith(directory.path, { [name]: 'CREATE TABLE a (id int);\nCREATE TABEL b (id int);' });
  const options = { url: server.url, schema: 'wrong', migrations: [own] };
  for (const _ of ['first', 'again']) {
    await assert.rejects(migrate(options), {
      name: 'MigrationError',
      message: /20260101000000_wrong of schema wrong failed: syntax error .*\(line 2\)/,
    });
    assert.deepEqual(await tables('wrong'), []);
  }
  await directoryWith(own, { [name]: 'CREATE TABLE a (id int);\nCREATE TABLE b (id int);' });
  assert.deepEqual((await migrate(options)).applied, [name]);
  assert.deepEqual(await tables('wrong'), ['a', 'b']);
});

test('a kill in the middle of a script: it is tried again; after the script: it is not', async () => {
  await using directory = await temporaryDirectory();
  const sql = 'CREATE TABLE a (id int);';
  const own = await directoryWith(directory.path, { '20260101000000_base': 'CREATE TABLE base (id int);' });
  const options = { url: server.url, schema: 'killed', migrations: [own] };
  await migrate(options);
  await directoryWith(own, { '20260102000000_slow': `${sql} SELECT pg_sleep(60);` });
  const migrating = migrate(options).catch((error: Error) => error);
  await waitFor('the script runs', async () => {
    const sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE a (id int);%' AND state = 'active'";
    return (await client.query(sql)).rowCount === 1;
  });
  assert.ok((await migrating) instanceof Error);
  const { rows } = await client.query(
    'SELECT count(*)::int AS n FROM killed._prisma_migrations WHERE finished_at IS NULL AND rolled_back_at IS NULL',
  );
  assert.equal(rows[0].n, 1, 'as after a kill: an unfinished note');
  assert.deepEqual(await tables('killed'), ['base']);
  await directoryWith(own, { '20260102000000_slow': `${sql} SELECT pg_sleep(0);` });
  assert.deepEqual((await migrate(options)).applied, ['20260102000000_slow']);
  assert.deepEqual(await tables('killed'), ['a', 'base']);
});

test('a script and its note are one transaction', async () => {
  await using directory = await temporaryDirectory();
  // The script sees its own note at its end through a deferred trigger: had the note another transaction, there would be none yet.
  const own = await directoryWith(directory.path, {
    '20260101000000_a': 'CREATE TABLE a (id int);',
    '20260102000000_b': `CREATE TABLE seen (finished boolean);
      CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen SELECT finished_at IS NOT NULL FROM _prisma_migrations WHERE migration_name = '20260102000000_b'; RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER look AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look();
      INSERT INTO a VALUES (1);`,
  });
  await migrate({ url: server.url, schema: 'one', migrations: [own] });
  assert.deepEqual((await client.query('SELECT finished FROM one.seen')).rows, [{ finished: true }]);
});

test('several processes and schemas at once: each migration is applied exactly once', async () => {
  await using directory = await temporaryDirectory();
  const own = await directoryWith(directory.path, { '20260101000000_a': 'CREATE TABLE a (id int);' });
  const results = await Promise.all(
    ['p', 'q', 'p', 'q', 'p'].map((schema) => migrate({ url: server.url, schema, migrations: [own, dbMigrations] })),
  );
  assert.equal(results.filter(({ applied }) => applied.length === 2).length, 2);
  assert.equal(results.filter(({ applied }) => applied.length === 0).length, 3);
});

test('waits for another migration in this database for as long as that takes', async () => {
  const other = new pg.Client({ connectionString: server.url });
  await other.connect();
  await other.query('SELECT pg_advisory_lock(7308041)');
  const migrating = migrate({ url: server.url, schema: 'patient', migrations: [dbMigrations] });
  await waitFor('it waits', async () => {
    const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    return rows[0].n === 1;
  });
  assert.deepEqual(await tables('patient'), []);
  await other.end();
  assert.equal((await migrating).applied.length, 1);
});

test('an applied migration that was edited stops the start', async () => {
  await using directory = await temporaryDirectory();
  const own = await directoryWith(directory.path, { '20260101000000_a': 'CREATE TABLE a (id int);' });
  const options = { url: server.url, schema: 'edited', migrations: [own] };
  await migrate(options);
  await directoryWith(own, { '20260101000000_a': 'CREATE TABLE a (id bigint);' });
  await assert.rejects(migrate(options), /20260101000000_a of schema edited changed after it was applied/);
});

test('a table that a running service has locked: waits a little, gives up, tries again', async () => {
  await using directory = await temporaryDirectory();
  const own = await directoryWith(directory.path, { '20260101000000_a': 'CREATE TABLE a (id int);' });
  const warned: object[] = [];
  const logger = { info() {}, warn: (fields: object) => void warned.push(fields), error() {} };
  const options = { url: server.url, schema: 'locked', migrations: [own], logger, lockTimeoutMs: 50 };
  await migrate(options);
  await directoryWith(own, { '20260102000000_b': 'ALTER TABLE a ADD COLUMN b int;' });
  await client.query('BEGIN; LOCK TABLE locked.a');
  const warn = (fields: object): void => {
    warned.push(fields);
    void client.query('COMMIT');
  };
  const migrating = migrate({ ...options, logger: { ...logger, warn } });
  assert.deepEqual((await migrating).applied, ['20260102000000_b']);
  // Once, or more often where the COMMIT takes longer than the pause.
  assert.ok(warned.length >= 1);
});

test('two migrations of one name are refused', async () => {
  await using directory = await temporaryDirectory();
  const one = await directoryWith(join(directory.path, 'one'), { '20260101000000_a': 'SELECT 1;' });
  const two = await directoryWith(join(directory.path, 'two'), { '20260101000000_a': 'SELECT 2;' });
  await assert.rejects(migrate({ url: server.url, schema: 'twice', migrations: [one, two] }), /two migrations are called 20260101000000_a/);
});
