// auth: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.

import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { dbMigrations } from '@maildoot/db/migrations';
import { watchDatabase } from '@maildoot/db/watch';
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { createSealer } from '@maildoot/runtime/seal';
import type { Config } from './config.ts';
import { answering } from './errors.ts';
import { startExpiringAnswers } from './jobs/expire-answers.ts';
import { createLastUsed } from './last-used.ts';
import { Revocations, revocationsChannel } from './revocations.ts';
import { authenticate } from './rpc/authenticate.ts';
import { createApiKey } from './rpc/create-api-key.ts';
import { createTenant } from './rpc/create-tenant.ts';
import { listApiKeys } from './rpc/list-api-keys.ts';
import { revokeApiKey } from './rpc/revoke-api-key.ts';
import { watchRevocations } from './rpc/watch-revocations.ts';
import { openStore } from './store.ts';
import { telemetry } from './telemetry.ts';

export const schema = 'auth';
export const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url)), dbMigrations];

export interface Running extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  rpcAddress: string;
}

export async function start(config: Config, parts: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  const clock = parts.clock ?? systemClock;
  const logger = parts.logger ?? createLogger({ service: 'auth', level: config.logLevel });
  if (config.migrateAtStart) await migrate({ url: config.databaseUrl, schema, migrations, logger });

  // Disposed of in reverse: the door first, the database last.
  await using starting = new AsyncDisposableStack();
  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName: 'auth', logger }));
  const health = createHealth();
  const revocations = new Revocations();
  const listen = { channel: revocationsChannel, heard: (payload: string | undefined) => revocations.heard(payload) };
  starting.use(watchDatabase({ database, url, health, applicationName: 'auth', logger, listen }));
  const store = starting.use(openStore(database));
  const lastUsed = starting.use(
    createLastUsed({
      now: () => clock.now(),
      write: (ids, at) => store.setLastUsed(ids, at),
      failed: (error, count) => telemetry.lastUsedNotWritten(logger, error, count),
      delayMs: 1000,
    }),
  );
  starting.use(startExpiringAnswers({ store, clock, logger }));
  const sealer = createSealer(config.sealKeys);
  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: 'auth',
      logger,
      health,
      implementations: [
        implement(AuthServiceService, {
          authenticate: { allow: ['gateway'], handle: answering(authenticate({ store, clock, lastUsed })) },
          createApiKey: { allow: ['gateway'], handle: answering(createApiKey({ store, clock, sealer })) },
          listApiKeys: { allow: ['gateway'], handle: answering(listApiKeys({ store })) },
          revokeApiKey: { allow: ['gateway'], handle: answering(revokeApiKey({ store, clock })) },
          watchRevocations: { allow: ['gateway'], handle: watchRevocations({ revocations }) },
          createTenant: { allow: ['operator', 'standalone'], handle: answering(createTenant({ store, clock })) },
        }),
      ],
    }),
  );
  starting.defer(async () => {
    health.state = 'draining';
    revocations.close();
  });
  health.state = 'ready';

  const running = starting.move();
  return { rpcAddress: server.address, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
