// The embedded PostgreSQL: what it promises about durability, and that it comes back whatever was killed.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { postgresProcessesOf, processIdentity } from '../src/embedded/processes.ts';
import { EmbeddedPostgresError, startEmbeddedPostgres } from '../src/embedded-postgres.ts';
import { temporaryDirectory, waitFor } from './support.ts';

const fixture = fileURLToPath(new URL('./fixtures/start-embedded.ts', import.meta.url));
const root = process.geteuid?.() === 0;
const linux = process.platform === 'linux';

interface Started extends AsyncDisposable {
  child: ChildProcess;
  pid: number;
  url: string;
  error?: string;
  code?: string;
}

/** Another program with an embedded PostgreSQL, as leader of a process group of its own. */
async function startElsewhere(
  directory: string,
  options: { env?: NodeJS.ProcessEnv; uid?: number; group?: string; prefix?: string[] } = {},
): Promise<Started> {
  const [command, ...args] = [...(options.prefix ?? []), process.execPath, fixture, directory, options.group ?? 'same'];
  const child = spawn(command!, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: options.env ?? process.env,
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
    cwd: '/',
  });
  const line = await new Promise<string>((resolve) => {
    createInterface({ input: child.stdout! }).once('line', resolve);
    child.once('exit', () => resolve('{"error":"ended without a word"}'));
  });
  return {
    child,
    ...JSON.parse(line),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** What a killed program left must be there, and nothing must be in the way. */
async function assertComesBack(directory: string, rows: number): Promise<void> {
  await using server = await startEmbeddedPostgres({ directory });
  const [row] = await query<{ n: number }>(server.url, 'SELECT count(*)::int AS n FROM kept');
  assert.equal(row?.n, rows);
}

async function withRows(url: string): Promise<void> {
  await query(url, 'CREATE TABLE kept (id int); INSERT INTO kept SELECT generate_series(1, 100)');
}

const gone = (pid: number) => async (): Promise<boolean> => (await processIdentity(pid)) === undefined;

test('a database that is durable, private and the same after a restart', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'nested', 'a directory with a blank');
  const told: string[] = [];
  const logger = { info: (_: object, message: string) => void told.push(message), warn() {}, error() {} };
  let firstUrl: string;
  {
    process.env.MARKER_SECRET = 'do-not-pass-on';
    await using server = await startEmbeddedPostgres({ directory: path, maxConnections: 30, logger });
    firstUrl = server.url;
    const settings = await query<{ name: string; setting: string }>(server.url, 'SELECT name, setting FROM pg_settings');
    const is = Object.fromEntries(settings.map(({ name, setting }) => [name, setting]));
    const wanted = {
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      data_checksums: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      password_encryption: 'scram-sha-256',
      max_connections: '30',
      jit: 'off',
      server_encoding: 'UTF8',
      TimeZone: 'UTC',
    };
    for (const [name, value] of Object.entries(wanted)) assert.equal(is[name], value, name);
    assert.equal((await stat(join(path, 'password'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(path, 'data'))).mode & 0o077, 0);
    if (linux) assert.doesNotMatch(await readFile(`/proc/${server.pid}/environ`, 'latin1'), /MARKER_SECRET/);
    const wrong = new URL(server.url);
    wrong.password = 'guessed';
    await assert.rejects(query(wrong.href, 'SELECT 1'), { code: '28P01' });
    await withRows(server.url);
    await assert.rejects(query(server.url, "SELECT 'marker-in-a-statement'::int"));
    await assert.rejects(query(server.url, "INSERT INTO kept SELECT ('marker-in-a-value' || id)::int FROM kept"));
  }
  assert.doesNotMatch(await readFile(join(path, 'postgres.log'), 'utf8'), /marker/, 'statements and values stay out of the log');
  await assert.rejects(query(firstUrl, 'SELECT 1'), { code: 'ECONNREFUSED' }, 'stopped with its owner');
  await assertComesBack(path, 100);
  assert.equal(told.filter((message) => message.includes('only the first time')).length, 1);
});

test('SIGKILL of the program alone: the server ends by itself, and the next start works at once', async () => {
  await using directory = await temporaryDirectory();
  const started = await startElsewhere(directory.path);
  await withRows(started.url);
  started.child.kill('SIGKILL');
  await waitFor('the server follows its parent', gone(started.pid));
  await assertComesBack(directory.path, 100);

  // Once more without waiting: the next start finds it while it is stopping.
  const again = await startElsewhere(directory.path);
  again.child.kill('SIGKILL');
  await assertComesBack(directory.path, 100);
});

test('SIGKILL of the program and of what watches over it: the server lives on, with a client, and the next start stops it', async (t) => {
  if (!linux) return t.skip('finds the processes through /proc');
  await using directory = await temporaryDirectory();
  const started = await startElsewhere(directory.path);
  await withRows(started.url);
  const client = new pg.Client({ connectionString: started.url });
  client.on('error', () => {});
  await client.connect();
  await client.query('BEGIN; INSERT INTO kept VALUES (101)');
  const children = (await readFile(`/proc/${started.child.pid}/task/${started.child.pid}/children`, 'utf8')).trim().split(' ').map(Number);
  for (const pid of children.filter((one) => one !== started.pid)) process.kill(pid, 'SIGKILL');
  started.child.kill('SIGKILL');
  await waitFor('the program is gone', gone(started.child.pid!));
  assert.equal(await gone(started.pid)(), false, 'the test is about a server that lives on');
  await assertComesBack(directory.path, 100);
  assert.equal(await gone(started.pid)(), true);
  await client.end().catch(() => {});
});

test('on a port that is asked for: the next one is where the killed one was, and a port of somebody else is told', async () => {
  await using directory = await temporaryDirectory();
  const first = await startEmbeddedPostgres({ directory: directory.path });
  const port = Number(new URL(first.url).port);
  process.kill(first.pid, 'SIGKILL');
  await first.exited;
  await first[Symbol.asyncDispose]();
  await using second = await startEmbeddedPostgres({ directory: directory.path, port });
  assert.equal(second.url, first.url);
  assert.notEqual(second.pid, first.pid);
  await query(second.url, 'SELECT 1');

  await using other = await temporaryDirectory();
  await assert.rejects(
    startEmbeddedPostgres({ directory: other.path, port }),
    (error: unknown) => error instanceof EmbeddedPostgresError && error.message.includes(`port ${port} is taken`),
  );
});

test('SIGKILL of the server alone, with a backend that is too busy to notice', async () => {
  await using directory = await temporaryDirectory();
  const server = await startEmbeddedPostgres({ directory: directory.path });
  await withRows(server.url);
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  const busy = client.query('DO $$ BEGIN LOOP END LOOP; END $$').catch((error: Error) => error);
  await waitFor('the backend is busy', async () => {
    const rows = await query<{ n: number }>(
      server.url,
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'",
    );
    return rows[0]?.n === 1;
  });
  process.kill(server.pid, 'SIGKILL');
  assert.deepEqual(await server.exited, { code: null, signal: 'SIGKILL' });
  await server[Symbol.asyncDispose]();
  if (linux) assert.notDeepEqual(await postgresProcessesOf(join(directory.path, 'data')), [], 'the test is about a backend that is left');
  await assertComesBack(directory.path, 100);
  assert.ok((await busy) instanceof Error);
});

test('SIGKILL of the process group takes the server along, and the next start works', async () => {
  await using directory = await temporaryDirectory();
  const started = await startElsewhere(directory.path);
  await withRows(started.url);
  process.kill(-started.child.pid!, 'SIGKILL');
  await waitFor('all are gone', gone(started.pid));
  await assertComesBack(directory.path, 100);
});

test("in a process group of its own the server survives the terminal's Ctrl-C, but not its parent", async () => {
  await using directory = await temporaryDirectory();
  const started = await startElsewhere(directory.path, { group: 'own' });
  await withRows(started.url);
  process.kill(-started.child.pid!, 'SIGKILL');
  await waitFor('the server follows its parent', gone(started.pid));
  await assertComesBack(directory.path, 100);
});

test('of two starts at once on one directory exactly one works, the other says who has it', async () => {
  await using directory = await temporaryDirectory();
  const started = await Promise.all([startElsewhere(directory.path), startElsewhere(directory.path), startElsewhere(directory.path)]);
  const winners = started.filter((one) => one.error === undefined);
  assert.equal(winners.length, 1);
  for (const { error, code } of started.filter((one) => one.error !== undefined)) {
    assert.equal(code, 'DIRECTORY_IN_USE');
    assert.match(error ?? '', new RegExp(`in use by process ${winners[0]?.child.pid}`));
  }
  for (const one of started) await one[Symbol.asyncDispose]();
  await using _ = await startEmbeddedPostgres({ directory: directory.path });
});

test('a kill at any moment of the first start leaves nothing half done', async () => {
  await using directory = await temporaryDirectory();
  for (const afterMs of [60, 200, 350, 500]) {
    const child = spawn(process.execPath, [fixture, directory.path], { detached: true, stdio: 'ignore' });
    await sleep(afterMs);
    process.kill(-child.pid!, 'SIGKILL');
  }
  await using server = await startEmbeddedPostgres({ directory: directory.path });
  await withRows(server.url);
  const left = (await readdir(directory.path)).filter((name) => name.startsWith('data.new-'));
  assert.deepEqual(left, []);
});

test("a stale postmaster.pid whose number is another process' now is no obstacle, and that process is left alone", async () => {
  await using directory = await temporaryDirectory();
  {
    await using server = await startEmbeddedPostgres({ directory: directory.path });
    await withRows(server.url);
  }
  const data = join(directory.path, 'data');
  const bystander = spawn('/bin/sleep', ['600']);
  await writeFile(join(data, 'postmaster.pid'), `${bystander.pid}\n${data}\n1\n5432\n\n127.0.0.1\n\nready   \n`);
  await assertComesBack(directory.path, 100);
  assert.equal(bystander.exitCode ?? bystander.signalCode, null);
  bystander.kill();
});

test('a lost password file is replaced', async () => {
  await using directory = await temporaryDirectory();
  {
    await using server = await startEmbeddedPostgres({ directory: directory.path });
    await withRows(server.url);
  }
  await rm(join(directory.path, 'password'));
  await assertComesBack(directory.path, 100);
});

test('root: the files stay owned by root', async (t) => {
  if (!root) return t.skip('needs root');
  await using directory = await temporaryDirectory();
  await using server = await startEmbeddedPostgres({ directory: directory.path });
  await withRows(server.url);
  for (const name of ['.', 'data', 'data/PG_VERSION', 'data/base', 'password', 'postgres.log']) {
    assert.equal((await stat(join(directory.path, name))).uid, 0, name);
  }
});

test('root without user namespaces: an unprivileged uid gets the directory, and keeps it', async (t) => {
  if (!root) return t.skip('needs root');
  await using directory = await temporaryDirectory();
  await chmod(directory.path, 0o755);
  const home = join(directory.path, 'home');
  // No `unshare` to be found is what a refused one looks like too.
  const env = { ...process.env, PATH: '/nonexistent' };
  {
    await using started = await startElsewhere(home, { env });
    assert.equal(started.error, undefined);
    await withRows(started.url);
    const data = await stat(join(home, 'data'));
    assert.notEqual(data.uid, 0);
    if (linux) assert.match(await readFile(`/proc/${started.pid}/status`, 'utf8'), new RegExp(`^Uid:\\t${data.uid}\\t${data.uid}\\t`, 'm'));
  }
  // With namespaces allowed again the files are that uid's, so it stays.
  await assertComesBack(home, 100);
});

test('root without user namespaces, on files that root made inside one: they change hands', async (t) => {
  if (!root) return t.skip('needs root');
  await using directory = await temporaryDirectory();
  await chmod(directory.path, 0o755);
  const home = join(directory.path, 'home');
  {
    await using server = await startEmbeddedPostgres({ directory: home });
    await withRows(server.url);
  }
  await using started = await startElsewhere(home, { env: { ...process.env, PATH: '/nonexistent' } });
  assert.equal(started.error, undefined);
  const rows = await query<{ n: number }>(started.url, 'SELECT count(*)::int AS n FROM kept');
  assert.equal(rows[0]?.n, 100);
});

test('root without user namespaces in a place that nobody else can reach: one line that says what to do', async (t) => {
  if (!root) return t.skip('needs root');
  await using directory = await temporaryDirectory();
  await using started = await startElsewhere(join(directory.path, 'home'), { env: { ...process.env, PATH: '/nonexistent' } });
  assert.equal(started.code, 'USER_NOT_POSSIBLE');
  assert.doesNotMatch(started.error ?? '', /\n/);
});

test('an ordinary user needs nothing special, and is told when the files are not theirs', async (t) => {
  if (!root) return t.skip('the other tests run as an ordinary user already');
  await using directory = await temporaryDirectory();
  await chown(directory.path, 64321, 64321);
  {
    await using started = await startElsewhere(directory.path, { uid: 64321 });
    if (started.error?.includes('without a word')) return t.skip('this checkout is not readable for others');
    assert.equal(started.error, undefined);
    await withRows(started.url);
  }
  // Root then goes on as that user, without a user namespace and without taking the files away.
  await assertComesBack(directory.path, 100);
  assert.equal((await stat(join(directory.path, 'data'))).uid, 64321);
  await rename(join(directory.path, 'data'), join(directory.path, 'data.kept'));
  await chown(directory.path, 64322, 64322);
  await rename(join(directory.path, 'data.kept'), join(directory.path, 'data'));
  await using other = await startElsewhere(directory.path, { uid: 64322 });
  assert.equal(other.code, 'DIRECTORY_NOT_USABLE');
  assert.match(other.error ?? '', /belongs to uid 64321/);
});

test('a full disk is told in one line', async (t) => {
  if (!root || !linux) return t.skip('needs root, to mount a small disk');
  await using directory = await temporaryDirectory();
  const mount = (size: string): string[] => [
    'unshare',
    '--mount',
    'sh',
    '-c',
    `mount -t tmpfs -o size=${size} none "${directory.path}" && exec "$@"`,
    'sh',
  ];
  await using started = await startElsewhere(directory.path, { prefix: mount('20m') });
  if (started.error?.includes('without a word')) return t.skip('mounting is not allowed here');
  assert.equal(started.code, 'DISK_FULL');
  assert.match(started.error ?? '', /no space left for .* free some/);
  assert.doesNotMatch(started.error ?? '', /\n/);
});

test('a directory that is none, or not ours, is told in one line', async () => {
  await using directory = await temporaryDirectory();
  const file = join(directory.path, 'file');
  await writeFile(file, '');
  await assert.rejects(startEmbeddedPostgres({ directory: join(file, 'below') }), (error) => {
    assert.ok(error instanceof EmbeddedPostgresError);
    assert.equal(error.code, 'DIRECTORY_NOT_USABLE');
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
});

test('files of another PostgreSQL version end the start with the reason, and the lock is free again', async () => {
  await using directory = await temporaryDirectory();
  {
    await using _ = await startEmbeddedPostgres({ directory: directory.path });
  }
  const version = join(directory.path, 'data', 'PG_VERSION');
  const right = await readFile(version, 'utf8');
  await writeFile(version, '9\n');
  await assert.rejects(startEmbeddedPostgres({ directory: directory.path }), { code: 'START_FAILED', message: /incompatible with server/ });
  await writeFile(version, right);
  await using _ = await startEmbeddedPostgres({ directory: directory.path });
});
