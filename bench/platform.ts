/**
 * The platform that is measured, in a data directory of its own that is thrown away: as `make up SPLIT=1` (the default; roles can be
 * started and stopped one by one), as one process, or as the cluster. Beside it the internet: DNS, a verified domain, a collector.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '@maildoot/db/embedded-postgres';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from '@maildoot/standalone/config';
import { firstTenant } from '@maildoot/standalone/first-tenant';
import { Home, type Run } from '@maildoot/standalone/home';
import {
  environmentOf,
  isDoor,
  MAX_CONNECTIONS,
  ROLES,
  type Role,
  type Surroundings,
  serviceOf,
  socketsIn,
} from '@maildoot/standalone/roles';
import { startDnsServer } from '@maildoot/testkit/dns';
import { freePort } from '@maildoot/testkit/ports';
import { publish, type RecordToPublish } from '@maildoot/testkit/publish';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import type { Watched } from './processes.ts';
import { note, type Report } from './report.ts';
import { startCollector } from './reporter.ts';

export type Form = 'split' | 'one' | 'cluster';
export type TelemetryKind = 'traces' | 'metrics' | 'both' | 'off';

export const domain = 'shop.example';
const readyWithinMs = 90_000;

export interface PlatformOptions {
  form: Form;
  telemetry: TelemetryKind;
  /** The port on 127.0.0.1 that all mail goes to. */
  smarthostPort: number;
  /** Left out at the start; `split` only. */
  without?: readonly Role[];
  /** Settings of one role beside those that it gets; `split` only. */
  roleEnv?: Partial<Record<Role, Record<string, string>>>;
}

export interface Platform extends AsyncDisposable {
  form: Form;
  api: string;
  key: string;
  home: string;
  /** Where the operator's commands reach it. */
  authAddress: string;
  databaseUrl: string;
  /** A connection of our own, outside the platform's pools. */
  database: pg.Client;
  /** What CPU is counted of. */
  watched(): Watched[];
  /** `split` only. */
  startRole(role: Role): Promise<void>;
  stopRole(role: Role): Promise<void>;
  /** The address of a process' inspector; opened when first asked for. */
  inspectorOf(name: string): Promise<string>;
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
}

interface Started {
  api: string;
  key: string;
  authAddress: string;
  databaseUrl: string;
  postgresPid: number;
  children(): Map<string, ChildOrPid>;
  startRole(role: Role): Promise<void>;
  stopRole(role: Role): Promise<void>;
}

interface ChildOrPid {
  pid: number;
  /** What it wrote on stderr. */
  said(): string;
}

export async function startPlatform(options: PlatformOptions, report: Report): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const homeDirectory = await mkdtemp(join(process.env.BENCH_TMP ?? tmpdir(), 'maildoot-bench-'));
  stack.defer(() => rm(homeDirectory, { recursive: true, force: true }));
  process.once('exit', () => rmSync(homeDirectory, { recursive: true, force: true }));
  const dns = stack.use(await startDnsServer());
  const collector = options.telemetry === 'traces' || options.telemetry === 'both' ? stack.use(await startCollector()) : undefined;
  const env: Record<string, string> = {
    MAILDOOT_HOME: homeDirectory,
    HTTP_PORT: String(await freePort()),
    DELIVERY: 'smarthost',
    SMARTHOST: `127.0.0.1:${options.smarthostPort}`,
    DNS_SERVERS: dns.address,
    // A back-off between two attempts must not end up in a measurement of something else.
    RETRY_SCHEDULE: '5,30,300',
    LOG_LEVEL: 'warn',
    ...(collector === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}` }),
  };
  const started = options.form === 'split' ? await startSplit(env, options, stack) : await startWhole(env, options, stack);
  const database = new pg.Client({ connectionString: started.databaseUrl });
  await database.connect();
  database.on('error', () => {});
  if (report.machine.postgres === undefined) {
    const { rows } = await database.query<{ version: string; fsync: string; commits: string }>(
      `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commits`,
    );
    report.machine.postgres = `${rows[0]?.version}, fsync ${rows[0]?.fsync}, synchronous_commit ${rows[0]?.commits}`;
    note(`PostgreSQL ${report.machine.postgres}`);
  }
  stack.defer(() => database.end());

  const platform: Platform = {
    ...started,
    form: options.form,
    home: homeDirectory,
    database,
    watched: () => [
      ...[...started.children()].map(([name, { pid }]) => ({ name, pid, tree: false })),
      { name: 'postgres', pid: started.postgresPid, tree: true },
    ],
    inspectorOf: (name) => openInspector(name, started.children().get(name)),
    async call(method, path, body) {
      const response = await fetch(`${started.api}${path}`, {
        method,
        headers: { authorization: `Bearer ${started.key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: await response.json() };
    },
    [Symbol.asyncDispose]: async () => {},
  };
  const created = await platform.call('POST', '/v1/user-settings/domains', { domain });
  publish(dns, domain, (created.body as { records: RecordToPublish[] }).records);
  const verified = await platform.call('POST', `/v1/user-settings/domains/${domain}/verify`);
  if ((verified.body as { status?: string }).status !== 'verified') throw new Error(`${domain}: ${JSON.stringify(verified.body)}`);

  const owned = stack.move();
  platform[Symbol.asyncDispose] = () => owned.disposeAsync();
  return platform;
}

/** As standalone's --split does it, but with each role in our hands. */
async function startSplit(env: Record<string, string>, options: PlatformOptions, stack: AsyncDisposableStack): Promise<Started> {
  const config = loadSettings(settings, env);
  const home = await Home.open(config.home);
  const postgres = stack.use(await startEmbeddedPostgres({ directory: home.databaseDirectory, maxConnections: MAX_CONNECTIONS.alone }));
  const socketDirectory = await mkdtemp(join(tmpdir(), 'maildoot-'));
  stack.defer(() => rm(socketDirectory, { recursive: true, force: true }));
  const surroundings: Surroundings = {
    config,
    secrets: home.secrets,
    databaseUrl: postgres.url,
    kafkaBrokers: undefined,
    addresses: socketsIn(socketDirectory),
    migrateAtStart: true,
    smtpHealth: `127.0.0.1:${await freePort()}`,
  };
  const children = new Map<string, ChildOrPid & { child: ChildProcess }>();
  const api = `http://127.0.0.1:${config.httpPort}`;

  const startRole = async (role: Role): Promise<void> => {
    const child = spawnNode(fileURLToPath(import.meta.resolve(`@maildoot/${serviceOf(role)}/main`)), [], {
      ...environmentOf(role, surroundings),
      ...(options.telemetry === 'metrics' || options.telemetry === 'both' ? { METRICS_PORT: '0' } : {}),
      ...options.roleEnv?.[role],
    });
    children.set(role, child);
    const door = role === 'smtp' ? `http://${surroundings.smtpHealth}` : api;
    const socket = isDoor(role) ? undefined : surroundings.addresses[role].slice('unix:'.length);
    await waitFor(
      async () => {
        if (child.child.exitCode !== null) return 'ended';
        return socket === undefined ? (await fetch(`${door}/readyz`)).ok : access(socket).then(() => true);
      },
      { timeoutMs: readyWithinMs, what: `${role} to be up` },
    );
    if (child.child.exitCode !== null) throw new Error(`${role} ended at once:\n${child.said()}`);
  };
  const stopRole = async (role: Role): Promise<void> => {
    const found = children.get(role);
    if (found === undefined) return;
    children.delete(role);
    await endChild(found.child);
  };
  // The doors first, then those they call.
  stack.defer(async () => {
    for (const role of ROLES.toReversed()) await stopRole(role);
  });
  await Promise.all(ROLES.filter((role) => !options.without?.includes(role)).map(startRole));
  const key = await firstTenant(home, surroundings.addresses.auth);
  return {
    ...{ api, key, authAddress: surroundings.addresses.auth, databaseUrl: postgres.url, postgresPid: postgres.pid },
    ...{ children: () => children, startRole, stopRole },
  };
}

/** `up.ts`, as a person starts it. */
async function startWhole(env: Record<string, string>, options: PlatformOptions, stack: AsyncDisposableStack): Promise<Started> {
  const program = fileURLToPath(import.meta.resolve('@maildoot/standalone/up'));
  const home = env.MAILDOOT_HOME as string;
  const main = spawnNode(program, options.form === 'cluster' ? ['--cluster'] : [], {
    ...env,
    ...(options.telemetry === 'metrics' || options.telemetry === 'both' ? { METRICS_PORT: '0' } : {}),
  });
  stack.defer(() => endChild(main.child));
  const read = async <T>(name: string): Promise<T> => JSON.parse(await readFile(join(home, name), 'utf8')) as T;
  const up = await waitFor(async () => (main.child.exitCode === null ? read<{ api: string; key: string }>('up.json') : 'ended'), {
    timeoutMs: readyWithinMs,
    what: 'the platform to be up',
  });
  if (up === 'ended') throw new Error(`the platform ended before it was up:\n${main.said()}`);
  const { api, key } = up;
  const cluster = await read<ClusterFile>('cluster.json').catch(() => undefined);
  const run = await read<Run>('run.json');
  const databaseUrl = cluster?.postgres.url ?? run.databaseUrl;
  const postgresPid = Number((await readFile(join(home, 'postgres/data/postmaster.pid'), 'utf8')).split('\n')[0]);
  const said = () => main.said();
  const processes = (cluster?.processes ?? []).filter(({ name }) => name !== 'postgres');
  const children = new Map<string, ChildOrPid>([
    [cluster === undefined ? 'maildoot' : 'supervisor', main],
    ...processes.map(({ name, pid }): [string, ChildOrPid] => [name, { pid, said }]),
  ]);
  const only = () => Promise.reject(new Error('single roles can be started and stopped with PLATFORM=split only'));
  return { api, key, authAddress: run.authAddress, databaseUrl, postgresPid, children: () => children, startRole: only, stopRole: only };
}

interface ClusterFile {
  processes: { name: string; pid: number }[];
  postgres: { url: string };
}

function spawnNode(main: string, args: string[], env: Record<string, string>): ChildOrPid & { child: ChildProcess } {
  const child = spawn(process.execPath, ['--inspect-port=127.0.0.1:0', main, ...args], {
    env: { ...inherited(), ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-100_000);
    const lines = text.split('\n').filter((line) => line !== '' && !/^(Debugger|For help|Starting inspector|· )/.test(line));
    if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`);
  });
  return { pid: child.pid as number, child, said: () => said };
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** SIGUSR1 opens a Node process' inspector, which then says where it is. Until then it costs nothing. */
async function openInspector(name: string, child: ChildOrPid | undefined): Promise<string> {
  if (child === undefined) throw new Error(`no process ${name}`);
  const where = () => /Debugger listening on (ws:\S+)/.exec(child.said())?.[1];
  if (where() === undefined) process.kill(child.pid, 'SIGUSR1');
  return await waitFor(where, { what: `the inspector of ${name}` });
}

/** Without settings of ours: what the machine happens to have set must not steer a measurement. */
function inherited(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'USER', 'LANG', 'TMPDIR', 'TZ', 'NODE_OPTIONS'];
  return Object.fromEntries(kept.filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]]));
}
