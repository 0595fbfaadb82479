/**
 * The whole platform as a person starts it: `up.ts` in a process of its own, found through the `up.json` it writes.
 * The scenarios talk to it as strangers do, over HTTP and SMTP.
 *
 * PLATFORM=cluster in the environment makes it the cluster: two processes of every role, Kafka between them. Otherwise it is one process, in
 * tools/test.ts with a database of the server that all tests share. One that is given a home has its PostgreSQL there.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createTestDatabase, isThrownAway } from '@maildoot/testkit/database';

const UP = fileURLToPath(new URL('../services/standalone/src/up.ts', import.meta.url));
const MIGRATE = fileURLToPath(new URL('../services/standalone/src/migrate.ts', import.meta.url));
const READY_WITHIN_MS = 240_000;

const everyTable = {
  name: 'platform',
  make: async (url: string) =>
    void (await promisify(execFile)(process.execPath, [MIGRATE], { env: { ...inherited(), DATABASE_URL: url } })),
};

/** Whether the scenarios run on the cluster. */
export const onCluster = chosen() === 'cluster';
/** What the programs of the platform are told to be what PLATFORM says. */
export const platformArgs: readonly string[] = onCluster ? ['--cluster'] : [];

export interface Platform extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  api: string;
  key: string;
  home: string;
  pid: number;
  /** Every door to the API behind the one of `api`; alone, that one. */
  gateways: readonly string[];
  /** Its PostgreSQL, for scenarios that look or meddle behind the platform's back. */
  databaseUrl(): Promise<string>;
  /** Everything it wrote so far, both streams. */
  output(): string;
  call: Call;
  /** SIGKILL, to all of its processes, the PostgreSQL of its home and Kafka among them; waits until they are gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface Answer<T> {
  status: number;
  headers: Headers;
  body: T;
}

export type Call = <T = Record<string, unknown>>(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer<T>>;

export interface Start {
  /** Goes on where another one stopped, database and all; by default a fresh directory that is removed at the end. */
  home?: string;
  /** Settings, as in the README's table. */
  env?: Record<string, string>;
  args?: string[];
  /** A PostgreSQL of its own: a transaction that stays open holds up the events of every database in a server. */
  ownPostgres?: boolean;
}

export async function startPlatform(options: Start = {}): Promise<Platform> {
  const home = options.home ?? (await temporaryHome());
  const brings = options.home !== undefined || options.env?.DATABASE_URL !== undefined || options.ownPostgres === true;
  const database = !onCluster && !brings && isThrownAway() ? await createTestDatabase({ template: everyTable }) : undefined;
  for (const file of ['up.json', 'cluster.json']) await rm(join(home, file), { force: true });
  const child = spawn(process.execPath, [UP, ...platformArgs, ...(options.args ?? [])], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited(), MAILDOOT_HOME: home, HTTP_PORT: '0', ...(database && { DATABASE_URL: database.url }), ...options.env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const up = await readyOrExit(child, home, () => output)
    .then(async (found) => {
      await untilServes(found);
      return found;
    })
    .catch(async (error: unknown) => {
      // Nobody gets a platform that could be stopped: nothing of it stays.
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      signal(-(child.pid as number), 'SIGKILL');
      await ended;
      await database?.[Symbol.asyncDispose]();
      if (!options.home) await rm(home, { recursive: true, force: true, maxRetries: 10 });
      throw error;
    });
  const cluster = onCluster ? await readCluster(home) : undefined;
  const platform: Platform = {
    api: up.api,
    key: up.key,
    home,
    pid: up.pid,
    gateways: cluster?.gateways ?? [up.api],
    databaseUrl: async () => (JSON.parse(await readFile(join(home, 'run.json'), 'utf8')) as { databaseUrl: string }).databaseUrl,
    output: () => output,
    call: client(up.api, up.key),
    async kill() {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      const others = onCluster ? (await readCluster(home)).processes.map(({ pid }) => pid) : await postmasterOf(home);
      for (const pid of [-(child.pid as number), ...others]) signal(pid, 'SIGKILL');
      await ended;
      await Promise.all(others.map(gone));
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const ended = once(child, 'exit');
      signal(child.pid as number, 'SIGTERM');
      const [code] = (await ended) as [number | null];
      return code;
    },
    async [Symbol.asyncDispose]() {
      await platform.stop();
      await database?.[Symbol.asyncDispose]();
      if (!options.home) await rm(home, { recursive: true, force: true });
    },
  };
  return platform;
}

export function temporaryHome(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'maildoot-e2e-'));
}

/** Calls the API as one tenant. */
export function client(api: string, key: string): Call {
  return async <T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json');
    return { status: response.status, headers: response.headers, body: (json ? JSON.parse(text) : text) as T };
  };
}

/** The environment without settings of ours: what the machine happens to have set must not steer a scenario. */
export function inherited(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'USER', 'LANG', 'TMPDIR', 'TZ', 'NODE_COMPILE_CACHE'];
  return Object.fromEntries(kept.filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]]));
}

async function readyOrExit(child: ChildProcess, home: string, output: () => string): Promise<{ api: string; key: string; pid: number }> {
  const deadline = performance.now() + READY_WITHIN_MS;
  for (;;) {
    try {
      return JSON.parse(await readFile(join(home, 'up.json'), 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the platform ended before it was ready:\n${output()}`);
    if (performance.now() > deadline) throw new Error(`the platform was not ready within ${READY_WITHIN_MS / 1000} s:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The first answers of many fresh processes on a busy machine may take too long; a scenario begins after them. */
async function untilServes({ api, key }: { api: string; key: string }): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  const call = client(api, key);
  for (const path of ['/v1/messages?limit=1', '/v1/user-settings/domains?limit=1', '/v1/test/inbox?limit=1']) {
    for (;;) {
      const { status, body } = await call('GET', path);
      if (status === 200) break;
      if (status !== 503 || performance.now() > deadline) throw new Error(`GET ${path} answers ${status}: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function readCluster(home: string): Promise<{ gateways: string[]; processes: { name: string; role: string; pid: number }[] }> {
  return JSON.parse(await readFile(join(home, 'cluster.json'), 'utf8'));
}

/** PostgreSQL writes its process id on the first line of `postmaster.pid`. */
async function postmasterOf(home: string): Promise<number[]> {
  for (const place of ['postgres/data', 'postgres']) {
    const text = await readFile(join(home, place, 'postmaster.pid'), 'utf8').catch(() => undefined);
    if (text) return [Number(text.split('\n')[0])];
  }
  return [];
}

function chosen(): 'standalone' | 'cluster' {
  const platform = process.env.PLATFORM || 'standalone';
  if (platform !== 'standalone' && platform !== 'cluster') throw new Error(`PLATFORM is standalone or cluster, not ${platform}`);
  return platform;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
