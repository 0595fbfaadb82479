// The real service on a real, fresh database, and clients of it as its callers see it.

import { openDatabase } from '@maildoot/db/database';
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { createRpcClient } from '@maildoot/rpc/client';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { createTestDatabase } from '@maildoot/testkit/database';
import { captureLogs } from '@maildoot/testkit/logs';
import type { Config } from '../src/config.ts';
import { schema, start } from '../src/service.ts';

const rpcSecret = 'a secret of at least 32 characters for tests';

/** `databaseUrl`: beside another process of auth, on its database or by another way to it. */
export async function startAuth(options: { databaseUrl?: string } = {}) {
  await using starting = new AsyncDisposableStack();
  const testDatabase = options.databaseUrl === undefined ? starting.use(await createTestDatabase()) : { url: options.databaseUrl };
  const logs = captureLogs();
  const clock = new TestClock(new Date('2026-11-21T12:00:30Z'));
  const config: Config = {
    databaseUrl: testDatabase.url,
    databaseConnections: 3,
    migrateAtStart: true,
    rpcListen: '127.0.0.1:0',
    rpcSecret,
    sealKeys: [{ id: 'k1', key: Buffer.alloc(32, 1) }],
    logLevel: 'debug',
    otelExporterOtlpEndpoint: undefined,
    metricsPort: undefined,
  };
  const logger = createLogger({ service: 'auth', level: 'debug', destination: logs.destination });
  const service = starting.use(await start(config, { clock, logger }));
  const client = (self: string) =>
    starting.use(createRpcClient(AuthServiceService, { address: service.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 5000 }));
  const { pool: database } = starting.use(openDatabase({ url: testDatabase.url, schema, maxConnections: 2, applicationName: 'test' }));
  const gateway = client('gateway');
  const operator = client('operator');
  const stranger = client('delivery');
  const parts = starting.move();
  return {
    gateway,
    operator,
    stranger,
    clock,
    logs,
    /** Looks into the tables behind the service's back. */
    database,
    databaseUrl: testDatabase.url,
    stopService: () => service[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

export type RunningAuth = Awaited<ReturnType<typeof startAuth>>;

let tenants = 0;

/** A tenant with its first key. */
export async function newTenant(auth: RunningAuth) {
  tenants++;
  return auth.operator.createTenant({ name: `Tenant ${tenants}`, email: `owner${tenants}@example.com` });
}
