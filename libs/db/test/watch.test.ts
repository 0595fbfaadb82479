// The watch: a server that hangs is noticed within a second and everything that waits for it fails after two; a slow statement is none of it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHealth } from '@maildoot/runtime/health';
import { type Database, openDatabase } from '../src/database.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/embedded-postgres.ts';
import { DatabaseSilent, isConnectionError } from '../src/errors.ts';
import { watchDatabase } from '../src/watch.ts';
import { temporaryDirectory, waitFor } from './support.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: EmbeddedPostgres;
before(async () => {
  directory = await temporaryDirectory();
  server = await startEmbeddedPostgres({ directory: directory.path });
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

/** A pool and its watch, once it has had its first answer. */
async function watched(options: { maxConnections?: number; heard?: (payload: string | undefined) => void } = {}) {
  await using starting = new AsyncDisposableStack();
  const database = starting.use(
    openDatabase({ url: server.url, schema: 'public', maxConnections: options.maxConnections ?? 4, applicationName: 'watched' }),
  );
  const health = createHealth();
  const { heard } = options;
  const listen = heard === undefined ? {} : { listen: { channel: 'news', heard } };
  starting.use(watchDatabase({ database, url: server.url, health, applicationName: 'watched', ...listen }));
  const line = () => health.snapshot().dependencies.database;
  await waitFor('the first answer', () => line()?.ok === true);
  const parts = starting.move();
  return { database, line, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** Everything of the server stands still: it takes connections and bytes, and answers nothing. */
async function frozen(work: () => Promise<void>): Promise<void> {
  const pids = await backendPids();
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGCONT');
  }
}

async function backendPids(): Promise<number[]> {
  const { execFileSync } = await import('node:child_process');
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.pid)], { encoding: 'utf8' });
  return [server.pid, ...children.split('\n').filter(Boolean).map(Number)];
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function failsWithin(ms: number, what: Promise<unknown>): Promise<unknown> {
  const startedAt = performance.now();
  const error = await what.then(
    () => assert.fail('it was answered'),
    (reason: unknown) => reason,
  );
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < ms, `took ${Math.round(tookMs)} ms: ${error}`);
  assert.ok(isConnectionError(error), String(error));
  return error;
}

const one = (database: Database) => database.pool.query('SELECT 1 AS one').then(({ rows }) => rows[0]?.one);

test('a server that hangs: what it was asked fails in about two seconds, what comes after at once; then it answers, and all is well', async (t) => {
  await using service = await watched({ maxConnections: 2 });
  const { database, line } = service;
  await Promise.all([one(database), one(database)]);
  await frozen(async () => {
    const startedAt = performance.now();
    // Two on connections that exist, two in the queue for one, and a transaction.
    const asked = [one(database), one(database), one(database), one(database), database.transaction((client) => client.query('SELECT 1'))];
    await Promise.all(asked.map((each) => failsWithin(15_000, each)));
    t.diagnostic(`the first were told after ${Math.round(performance.now() - startedAt)} ms`);
    await waitFor('the line', () => line()?.ok === false);
    assert.equal(line()?.detail, 'does not answer');
    for (let count = 0; count < 5; count++) assert.ok((await failsWithin(1500, one(database))) instanceof DatabaseSilent);
    await failsWithin(
      1500,
      database.transaction(async () => undefined),
    );
  });
  const backAt = performance.now();
  await waitFor('an answer', async () => (await one(database).catch(() => undefined)) === 1);
  t.diagnostic(`answered again after ${Math.round(performance.now() - backAt)} ms`);
  assert.equal(line()?.ok, true);
  assert.equal(await database.transaction(async (client) => (await client.query('SELECT 2 AS two')).rows[0].two), 2);
});

test('when it is only the connection that asks which is lost, another one is asked on before long', async (t) => {
  await using service = await watched();
  const { database } = service;
  const { rows } = await database.pool.query<{ pid: number }>("SELECT pid FROM pg_stat_activity WHERE application_name = 'watched watch'");
  assert.equal(rows.length, 1);
  const { pid } = rows[0]!;
  process.kill(pid, 'SIGSTOP');
  try {
    const stoppedAt = performance.now();
    await waitFor('a refusal', async () => (await one(database).catch((error: unknown) => error)) instanceof DatabaseSilent);
    await waitFor('an answer', async () => (await one(database).catch(() => undefined)) === 1);
    t.diagnostic(`answered again after ${Math.round(performance.now() - stoppedAt)} ms`);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a statement that takes long is left alone while the server answers others, a busy pool too', async () => {
  await using service = await watched({ maxConnections: 1 });
  const { database, line } = service;
  const slow = database.pool.query('SELECT pg_sleep(2)');
  const behind = one(database);
  await slow;
  assert.equal(await behind, 1);
  assert.equal(line()?.ok, true);
});

test('we ourselves standing still is not taken for a server that does', async () => {
  await using service = await watched();
  const { database, line } = service;
  const since = line()?.since;
  let asked: Promise<unknown> | undefined;
  // With a question under way, of which the answer comes while we stand still for longer than any silence.
  await frozen(async () => {
    asked = one(database);
    await sleep(500);
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
  assert.equal(await asked, 1);
  assert.deepEqual(line(), { ok: true, detail: undefined, since }, 'not for a moment');
});

test('a connection that listens hears what was committed, and says when it may have missed something', async () => {
  const heard: (string | undefined)[] = [];
  await using service = await watched({ heard: (payload) => heard.push(payload) });
  const { database, line } = service;
  await database.pool.query("SELECT pg_notify('news', 'one')");
  await waitFor('one', () => heard.length === 2);
  await assert.rejects(
    database.transaction(async (client) => {
      await client.query("SELECT pg_notify('news', 'never')");
      throw new Error('rolled back');
    }),
  );
  await database.pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watched watch'");
  await waitFor('listening again', () => heard.length === 3);
  await database.pool.query("SELECT pg_notify('news', 'two')");
  await waitFor('two', () => heard.length === 4);
  assert.deepEqual(heard, [undefined, 'one', undefined, 'two']);
  assert.equal(line()?.ok, true, 'a lost connection is no lost database');
});

test('a server that is killed is said to be unreachable, and to be back when it is', async () => {
  await using service = await watched();
  const { database, line } = service;
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
  await server[Symbol.asyncDispose]();
  await waitFor('the line', () => line()?.ok === false);
  assert.equal(line()?.detail, 'cannot be reached');
  await failsWithin(5000, one(database));
  await waitFor('the same port', async () => {
    server = await startEmbeddedPostgres({ directory: directory.path });
    return true;
  });
});
