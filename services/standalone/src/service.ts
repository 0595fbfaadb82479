/**
 * The whole platform on one machine: an embedded PostgreSQL (or yours), every role, and the first tenant with its key.
 * Wiring only: what a role does is in its own service.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@maildoot/runtime/clock';
import { createLogger } from '@maildoot/runtime/logger';
import type { Config } from './config.ts';
import { startDatabase } from './database.ts';
import { firstTenant } from './first-tenant.ts';
import { Home } from './home.ts';
import { type SmtpDoors, startRolesHere } from './one-process.ts';
import { MAX_CONNECTIONS, type Surroundings, socketsIn } from './roles.ts';
import { withCertificate } from './smtp-certificate.ts';
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
  /** Where messages are submitted by SMTP. */
  smtp: SmtpDoors;
  /** A full key of the first tenant. */
  key: string;
  home: Home;
  /** Every process of it but PostgreSQL's own children. */
  pids: number[];
  /** Resolves when a part ended that the platform can't be without. */
  broken: Promise<Error>;
}

export async function start(given: Config, parts: Parts = {}): Promise<Running> {
  const progress = parts.progress ?? (() => {});
  const logger = createLogger({ service: 'standalone', level: given.logLevel });
  await using stack = new AsyncDisposableStack();

  const home = await Home.open(given.home);
  stack.use(await home.lock());
  const config = await withCertificate(given, home, progress);
  progress('starting the database');
  const database = stack.use(await startDatabase({ config, home, progress, logger, maxConnections: MAX_CONNECTIONS.alone }));
  const { url: databaseUrl, pid } = database;
  const ended = database.exited.then(
    (end) => new Error(`PostgreSQL ended (${end.signal ?? end.code}); see ${join(home.databaseDirectory, 'postgres.log')}`),
  );

  const socketDirectory = await mkdtemp(join(tmpdir(), 'maildoot-'));
  stack.defer(() => rm(socketDirectory, { recursive: true, force: true }));
  const addresses = socketsIn(socketDirectory);
  const { kafkaBrokers } = config;
  const surroundings: Surroundings = { config, secrets: home.secrets, databaseUrl, kafkaBrokers, addresses, migrateAtStart: true };

  progress('starting the services');
  const roles = stack.use(
    parts.split ? await startRoleProcesses(surroundings) : await startRolesHere(surroundings, parts.clock ? { clock: parts.clock } : {}),
  );
  const key = await firstTenant(home, addresses.auth);
  await home.keepRun({ databaseUrl, authAddress: addresses.auth, deliveryAddress: addresses.delivery });

  const owned = stack.move();
  return {
    httpUrl: roles.httpUrl,
    smtp: roles.smtp,
    key,
    home,
    pids: [process.pid, ...(pid === undefined ? [] : [pid]), ...roles.pids],
    broken: Promise.race([ended, roles.broken]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
