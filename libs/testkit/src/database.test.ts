// Test databases: fresh, real, gone afterwards; and a server that goes when its user goes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Client } from 'pg';
import { createTestDatabase, isThrownAway } from './database.ts';
import { waitFor } from './wait.ts';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('each is a database of its own and is dropped though connections are open', async () => {
  const first = await createTestDatabase();
  await using second = await createTestDatabase();
  assert.notEqual(first.name, second.name);
  await query(first.url, 'CREATE TABLE only_here (id int)');
  assert.deepEqual(await query(second.url, "SELECT to_regclass('only_here') AS found"), [{ found: null }]);
  const left = new Client({ connectionString: first.url });
  left.on('error', () => undefined);
  await left.connect();
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  assert.deepEqual(await query(second.url, `SELECT 1 FROM pg_database WHERE datname = '${first.name}'`), []);
});

test('tables are made once in a server that is thrown away, and copied for each; in somebody’s own server none are', async () => {
  let made = 0;
  const template = {
    name: `here_${randomBytes(4).toString('hex')}`,
    async make(url: string) {
      made++;
      await query(url, 'CREATE TABLE here (id int)');
    },
  };
  await using databases = new AsyncDisposableStack();
  const create = async () => databases.use(await createTestDatabase({ template }));
  const [first, second] = await Promise.all([create(), create()]);
  const third = await create();
  assert.equal(made, isThrownAway() ? 1 : 0);
  await query(first.url, 'CREATE TABLE IF NOT EXISTS here (id int); INSERT INTO here VALUES (1)');
  for (const { url } of [second, third]) {
    assert.deepEqual(await query(url, "SELECT to_regclass('here') IS NOT NULL AS found"), [{ found: isThrownAway() }]);
    if (isThrownAway()) assert.deepEqual(await query(url, 'SELECT * FROM here'), []);
  }
});

test('a server started for one process ends when that process is killed', { timeout: 300_000 }, async () => {
  const script =
    "import { startTestPostgres } from './postgres.ts'; const p = await startTestPostgres(); console.log(JSON.stringify({ url: p.url, pid: p.pid })); setInterval(() => {}, 1000);";
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { url, pid } = JSON.parse(line) as { url: string; pid: number };
    assert.ok(isRunning(pid));
    const [setting] = await query(url, 'SHOW data_directory');
    const directory = dirname(String(setting?.data_directory));
    assert.ok(existsSync(directory));
    child.kill('SIGKILL');
    await waitFor(() => !isRunning(pid), { what: 'PostgreSQL to end' });
    await waitFor(() => !existsSync(directory), { what: 'its directory to be removed' });
  } finally {
    child.kill('SIGKILL');
  }
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It may belong to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
