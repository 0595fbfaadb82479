/**
 * The whole platform on one machine: an embedded PostgreSQL (or yours), every role, and the first tenant with its key.
 * Wiring only: what a role does is in its own service.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@maildoot/db/embedded-postgres';
import type { Clock } from '@maildoot/runtime/clock';
import { SettingsError } from '@maildoot/runtime/config';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import pg from 'pg';
import type { Config } from './config.ts';
import { firstTenant } from './first-tenant.ts';
import { Home } from './home.ts';
import { startRolesHere } from './one-process.ts';
import type { Surroundings } from './roles.ts';
import { startRoleProcesses } from './split.ts';

export interface Parts {
  /** One line per step that takes time. */
  progress?: (text: string) => void;
  /** A process per role instead of all in this one. */
  split?: boolean;
  /** In one process only. */
  clock?: Clock;
}

export interface Running extends AsyncDisposable {
  /** Where the API answers: `http://127.0.0.1:8080`. */
  httpUrl: string;
  /** A full key of the first tenant. */
  key: string;
  home: Home;
  /** Every process of it but PostgreSQL's own children. */
  pids: number[];
  /** Resolves when a part ended that the platform can't be without. */
  broken: Promise<Error>;
}

export async function start(config: Config, parts: Parts = {}): Promise<Running> {
  const progress = parts.progress ?? (() => {});
  const logger = createLogger({ service: 'standalone', level: config.logLevel });
  await using stack = new AsyncDisposableStack();

  const home = await Home.open(config.home);
  stack.use(await home.lock());
  progress('starting the database');
  const { databaseUrl, pids, exited } = await database(config, home, stack, progress, logger);

  const socketDirectory = await mkdtemp(join(tmpdir(), 'maildoot-'));
  stack.defer(() => rm(socketDirectory, { recursive: true, force: true }));
  const surroundings: Surroundings = { config, secrets: home.secrets, databaseUrl, socketDirectory };

  progress('starting the services');
  const roles = stack.use(
    parts.split ? await startRoleProcesses(surroundings) : await startRolesHere(surroundings, parts.clock ? { clock: parts.clock } : {}),
  );
  const key = await firstTenant(home, surroundings);
  await writeFile(join(home.directory, 'run.json'), `${JSON.stringify({ databaseUrl, socketDirectory }, null, 2)}\n`, { mode: 0o600 });

  const owned = stack.move();
  return {
    httpUrl: roles.httpUrl,
    key,
    home,
    pids: [process.pid, ...pids, ...roles.pids],
    broken: Promise.race([exited, roles.broken]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function database(config: Config, home: Home, stack: AsyncDisposableStack, progress: (text: string) => void, logger: Logger) {
  const never = new Promise<Error>(() => {});
  if (config.databaseUrl !== undefined) {
    await assertUsable(config.databaseUrl);
    return { databaseUrl: config.databaseUrl, pids: [], exited: never };
  }
  const postgres = stack.use(
    await startEmbeddedPostgres({
      directory: home.databaseDirectory,
      maxConnections: 60,
      // In a terminal Ctrl-C goes to the whole process group, and would end the database under services that are still finishing.
      ownProcessGroup: process.stdin.isTTY === true,
      logger: {
        info: (_fields, text) => progress(text),
        warn: (fields, text) => logger.warn(fields, text),
        error: (fields, text) => logger.error(fields, text),
      },
    }),
  );
  let stopping = false;
  stack.defer(() => {
    stopping = true;
  });
  const exited = postgres.exited.then((end) => {
    if (stopping) return never;
    return new Error(`PostgreSQL ended (${end.signal ?? end.code}); see ${join(home.databaseDirectory, 'postgres.log')}`);
  });
  return { databaseUrl: postgres.url, pids: [postgres.pid], exited };
}

/** Tells what is wrong with somebody's own database before the services meet it one by one. */
async function assertUsable(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5000 });
  try {
    await client.connect();
    const { rows } = await client.query<{ version: number; may_create: boolean }>(
      `SELECT current_setting('server_version_num')::int AS version, has_database_privilege(current_database(), 'CREATE') AS may_create`,
    );
    if ((rows[0]?.version ?? 0) < 150_000) throw new Error('it is older than PostgreSQL 15');
    if (rows[0]?.may_create !== true) throw new Error('its role needs the right CREATE on the database, for the schemas of the services');
  } catch (cause) {
    const message = `can’t be used: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new SettingsError([{ name: 'DATABASE_URL', message }]);
  } finally {
    await client.end().catch(() => {});
  }
}
