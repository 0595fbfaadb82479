// A real PostgreSQL as a child process: for standalone, small installations and tests. It is as durable as any other (fsync,
// synchronous_commit and full_page_writes are on) and comes back after SIGKILL of anything.
//
//   <directory>/data          the cluster; appears by a rename once it is complete
//   <directory>/password      scram password of the only role, 0600
//   <directory>/lock          who has it started, see embedded/lock.ts
//   <directory>/postgres.log  what the server says; statements and values are kept out of it
//
// It listens on TCP at 127.0.0.1 only: the path of a unix socket may have 107 bytes and a checkout lies deeper than that.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, chown, type FileHandle, mkdir, open, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binaries, findBinaries } from './embedded/binaries.ts';
import { EmbeddedPostgresError, explain } from './embedded/error.ts';
import { chooseIdentity, commandAs, type Identity } from './embedded/identity.ts';
import { lockDirectory } from './embedded/lock.ts';
import { postgresProcessesOf, recordedPostmaster } from './embedded/processes.ts';
import { type Log, silentLog } from './log.ts';

export { EmbeddedPostgresError } from './embedded/error.ts';

export interface EmbeddedPostgresOptions {
  /** Made when missing. Everything of this PostgreSQL is below it. */
  directory: string;
  /** Default 100. */
  maxConnections?: number;
  /** Where it listens; a free port otherwise. For a start in the place of one that ended, under those who know the address. */
  port?: number;
  logger?: Log;
  /**
   * Put PostgreSQL into a process group of its own, for a program in a terminal: Ctrl-C goes to the whole group and would shut the
   * database down under services that are still finishing. Default false: killing the group kills the database too.
   */
  ownProcessGroup?: boolean;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** postgresql://maildoot:…@127.0.0.1:<port>/maildoot, a superuser. */
  url: string;
  pid: number;
  /** Resolves when the server has ended, by dispose or otherwise. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const role = 'maildoot';
const database = 'maildoot';

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const log = options.logger ?? silentLog;
  const binaries = await findBinaries();
  const directory = await prepareDirectory(options.directory);
  const lock = await lockDirectory(directory).catch((error: unknown) => {
    throw explain(error, 'DIRECTORY_NOT_USABLE', directory, 'taking the lock');
  });
  try {
    const dataDirectory = `${directory}/data`;
    const identity = await chooseIdentity(directory, dataDirectory, binaries.postgres);
    await stopLeftover(dataDirectory, log);
    const place: Place = { directory, dataDirectory, binaries, identity, log };
    const password = await preparePassword(place);
    if (!(await exists(`${dataDirectory}/PG_VERSION`))) await initialise(place);
    const server = await startServer(place, options);
    return {
      url: `postgresql://${role}:${password}@127.0.0.1:${server.port}/${database}`,
      pid: server.pid,
      exited: server.exited,
      async [Symbol.asyncDispose]() {
        await server.stop();
        await lock[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw explain(error, 'START_FAILED', directory, 'starting');
  }
}

interface Place {
  directory: string;
  dataDirectory: string;
  binaries: Binaries;
  identity: Identity;
  log: Log;
}

async function prepareDirectory(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    // The real path: it is compared with working directories of processes.
    return await realpath(path);
  } catch (error) {
    throw explain(error, 'DIRECTORY_NOT_USABLE', path, 'making the directory');
  }
}

/** After a SIGKILL of the parent, or of the postmaster alone, somebody may still hold the data directory. We have the lock, so nobody else needs them. */
async function stopLeftover(dataDirectory: string, log: Log): Promise<void> {
  const alive = () => postgresProcessesOf(dataDirectory);
  const found = await alive();
  if (found.length > 0) {
    log.warn({ pids: found }, 'embedded PostgreSQL: a server of an earlier start is still there, stopping it');
    const postmaster = await recordedPostmaster(dataDirectory);
    if (postmaster !== undefined && found.includes(postmaster)) kill(postmaster, 'SIGINT');
    // Backends without a postmaster notice that at their next wait; only one in the middle of a long statement needs more.
    const patienceMs = postmaster !== undefined && found.includes(postmaster) ? 15_000 : 1_000;
    if (!(await until(async () => (await alive()).length === 0, patienceMs))) {
      for (const pid of await alive()) kill(pid, 'SIGKILL');
      if (!(await until(async () => (await alive()).length === 0, 10_000))) {
        throw new EmbeddedPostgresError(
          'DIRECTORY_IN_USE',
          `embedded PostgreSQL: processes ${(await alive()).join(', ')} still work on ${dataDirectory} and can't be stopped: end them and start again`,
        );
      }
    }
  }
  // Stale by now; its pid may be some other process' meanwhile, which PostgreSQL would take for a running server.
  await rm(`${dataDirectory}/postmaster.pid`, { force: true });
}

async function preparePassword({ directory, dataDirectory, identity, binaries }: Place): Promise<string> {
  const path = `${directory}/password`;
  const present = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (present !== '') return present;
  const password = randomBytes(24).toString('base64url');
  if (await exists(`${dataDirectory}/PG_VERSION`)) {
    await runToEnd(
      identity,
      binaries.postgres,
      ['--single', '-D', dataDirectory, database],
      `ALTER ROLE ${role} PASSWORD '${password}';\n`,
    );
  }
  const prepared = `${path}.new`;
  await writeSynced(prepared, `${password}\n`);
  await chmod(prepared, 0o600);
  if (identity.kind === 'dropped') await chown(prepared, identity.uid, identity.gid);
  await rename(prepared, path);
  await syncDirectory(directory);
  return password;
}

/** Makes the cluster beside its place and renames it: a kill in the middle leaves nothing that looks like a database. */
async function initialise({ directory, dataDirectory, binaries, identity, log }: Place): Promise<void> {
  log.info({ directory: dataDirectory }, 'embedded PostgreSQL: making the database files (only the first time)');
  for (const name of await readdir(directory)) {
    if (name.startsWith('data.new-')) await rm(`${directory}/${name}`, { recursive: true, force: true });
  }
  await rm(dataDirectory, { recursive: true, force: true });
  const prepared = `${directory}/data.new-${randomUUID()}`;
  try {
    // The builtin locale sorts the same on every platform and for ever; libc's changes with the system and breaks indexes.
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const auth = ['--auth=scram-sha-256', `--username=${role}`, `--pwfile=${directory}/password`];
    await runToEnd(identity, binaries.initdb, ['-D', prepared, '--no-instructions', ...locale, ...auth]);
    await runToEnd(identity, binaries.postgres, ['--single', '-D', prepared, 'postgres'], `CREATE DATABASE ${database};\n`);
    await rename(prepared, dataDirectory);
    await syncDirectory(directory);
  } catch (error) {
    await rm(prepared, { recursive: true, force: true }).catch(() => {});
    throw explain(error, 'INITDB_FAILED', directory, 'making the database files');
  }
}

interface Server {
  port: number;
  pid: number;
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stop(): Promise<void>;
}

async function startServer(place: Place, options: EmbeddedPostgresOptions): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const outcome = await tryStart(place, port, options);
    if (typeof outcome !== 'string') return outcome;
    // Between our look and PostgreSQL's bind somebody else may take the port.
    const taken = /could not bind|could not create any TCP\/IP sockets|Address already in use/.test(outcome);
    // A backend without postmaster that is about to end still holds the shared memory.
    const leaving = /pre-existing shared memory block/.test(outcome);
    if (attempt < 10 && (taken || leaving)) {
      if (leaving || options.port !== undefined) await sleep(200);
      continue;
    }
    if (taken) {
      const what = options.port === undefined ? 'found no free port on' : `port ${port} is taken by somebody else on`;
      throw new EmbeddedPostgresError('NO_FREE_PORT', `embedded PostgreSQL: ${what} 127.0.0.1 (${outcome})`);
    }
    throw explain(new Error(`${outcome} (more in ${place.directory}/postgres.log)`), 'START_FAILED', place.directory, 'starting');
  }
}

/** The running server, or the words with which it ended. */
async function tryStart(place: Place, port: number, options: EmbeddedPostgresOptions): Promise<Server | string> {
  const { dataDirectory, identity, binaries, log } = place;
  await using logFile = await openLog(place.directory);
  const said = (await logFile.stat()).size;
  const started = Date.now();
  const child = spawnAs(identity, binaries.postgres, ['-D', dataDirectory, ...serverSettings(port, options.maxConnections ?? 100)], {
    stdio: ['ignore', logFile.fd, logFile.fd],
    detached: options.ownProcessGroup === true,
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  const spawned = await new Promise<Error | undefined>((resolve) => {
    child.once('error', resolve);
    child.once('spawn', () => resolve(undefined));
  });
  if (spawned !== undefined || child.pid === undefined) {
    throw new EmbeddedPostgresError(
      'BINARY_MISSING',
      `embedded PostgreSQL: ${binaries.postgres} can't be run (${spawned?.message}): run \`pnpm install\` or set DATABASE_URL`,
    );
  }
  const pid = child.pid;
  const watcher = endWithParent(pid, options.ownProcessGroup === true);
  void exited.then(() => watcher.kill('SIGKILL'));

  let told = 0;
  while (!ended && !(await isReady(dataDirectory, pid))) {
    await sleep(10);
    const seconds = Math.floor((Date.now() - started) / 5000);
    if (seconds > told) {
      told = seconds;
      log.info({ seconds: seconds * 5 }, 'embedded PostgreSQL: still starting (recovering what the last run left)');
    }
  }
  if (ended) return lastWords(await readFile(`${place.directory}/postgres.log`), said, (await exited).code);
  child.unref();
  log.info({ pid, port, durationMs: Date.now() - started }, 'embedded PostgreSQL: ready');
  return {
    port,
    pid,
    exited,
    async stop() {
      child.ref();
      // Fast, then immediate (recovers at the next start), then by force.
      for (const [signal, patienceMs] of [
        ['SIGINT', 30_000],
        ['SIGQUIT', 5_000],
        ['SIGKILL', 5_000],
      ] as const) {
        if (ended) return;
        child.kill(signal);
        await Promise.race([exited, sleep(patienceMs, undefined, { ref: false })]);
      }
    },
  };
}

function serverSettings(port: number, maxConnections: number): string[] {
  const settings: Record<string, string | number> = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: maxConnections,
    // Durability is the point of it: said explicitly so that no postgresql.conf weakens it.
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    // A laptop's worth of memory and processes.
    shared_buffers: '64MB',
    max_wal_size: '256MB',
    jit: 'off',
    io_method: 'sync',
    max_parallel_workers_per_gather: 0,
    max_logical_replication_workers: 0,
    autovacuum_max_workers: 2,
    autovacuum_naptime: '20s',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // ERROR lines quote values and statements, and those are customers' mail: only the server's own affairs are logged.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_checkpoints: 'off',
    logging_collector: 'off',
    log_destination: 'stderr',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function isReady(dataDirectory: string, pid: number): Promise<boolean> {
  const lines = (await readFile(`${dataDirectory}/postmaster.pid`, 'utf8').catch(() => '')).split('\n');
  return Number(lines[0]) === pid && lines[7]?.startsWith('ready') === true;
}

/**
 * Ends the server soon after this process died without doing so (SIGKILL, a crash): a shell waits for the end of a pipe whose other
 * end only we hold. No death signal (PR_SET_PDEATHSIG): it follows the thread, needs a helper program, and macOS has none.
 */
function endWithParent(pid: number, ownProcessGroup: boolean): ChildProcess {
  const watcher = spawn('/bin/sh', ['-c', `trap '' INT TERM HUP; read -r _; kill -INT ${pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: ownProcessGroup,
    cwd: '/',
    env: {},
  });
  watcher.on('error', () => {});
  watcher.stdin?.on('error', () => {});
  watcher.unref();
  // The pipe is a net.Socket; without unref it would keep a finished program alive.
  if (watcher.stdin !== null && 'unref' in watcher.stdin && typeof watcher.stdin.unref === 'function') watcher.stdin.unref();
  return watcher;
}

async function openLog(directory: string): Promise<FileHandle> {
  const path = `${directory}/postgres.log`;
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > 1 << 20) await rename(path, `${path}.1`);
  return open(path, 'a', 0o600);
}

function lastWords(logText: Buffer, from: number, code: number | null): string {
  const lines = logText
    .subarray(from)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const wanted = ['PANIC:', 'FATAL:', 'WARNING:']
    .map((level) => lines.filter((line) => line.includes(level)))
    .find((some) => some.length > 0);
  const reasons = (wanted ?? lines.slice(-1)).concat(lines.filter((line) => /could not bind|No space left/.test(line)));
  const words = [...new Set(reasons)].map((line) => line.replace(/^.*?(PANIC|FATAL|WARNING|LOG):\s+/, '')).join('; ');
  return words === '' ? `postgres ended with code ${code}` : words;
}

function spawnAs(
  identity: Identity,
  program: string,
  args: string[],
  options: { stdio: (number | 'ignore' | 'pipe')[]; detached?: boolean },
): ChildProcess {
  const { command, args: all, options: ids } = commandAs(identity, program, args);
  // Nothing of our environment: it has secrets, and PG* and LC_* variables would change the server's behaviour.
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' };
  return spawn(command, all, { ...ids, ...options, env, cwd: '/' });
}

async function runToEnd(identity: Identity, program: string, args: string[], input = ''): Promise<void> {
  const child = spawnAs(identity, program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  // postgres --single ends with 0 after a failed statement.
  if (code === 0 && !/(ERROR|FATAL|PANIC):/.test(output)) return;
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const telling = lines.filter((line) => /error|fatal|panic|could not|no space|cannot/i.test(line)).slice(0, 3);
  throw new Error((telling.length > 0 ? telling : lines.slice(-2)).join('; ') || `${program} ended with code ${code}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone meanwhile
  }
}

async function until(condition: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) return false;
    await sleep(20);
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync().catch(() => {});
}
