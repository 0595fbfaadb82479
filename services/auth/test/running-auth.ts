// The real service on a real, fresh database, and clients of it as its callers see it.

import { openDatabase } from '@maildoot/db/database';
import { AuditServiceService } from '@maildoot/proto/maildoot/auth/v1/audit';
import { AuthServiceService } from '@maildoot/proto/maildoot/auth/v1/auth';
import { DeprecationServiceService } from '@maildoot/proto/maildoot/auth/v1/deprecation';
import { OperatorServiceService } from '@maildoot/proto/maildoot/auth/v1/operator';
import { QuotaServiceService } from '@maildoot/proto/maildoot/auth/v1/quota';
import { SessionServiceService } from '@maildoot/proto/maildoot/auth/v1/session';
import { SmtpUserServiceService } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { StandingServiceService } from '@maildoot/proto/maildoot/auth/v1/standing';
import { TeamServiceService } from '@maildoot/proto/maildoot/auth/v1/team';
import { UserServiceService } from '@maildoot/proto/maildoot/auth/v1/user';
import { NoticeServiceService, type SendNoticeRequest } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { createRpcClient } from '@maildoot/rpc/client';
import { rpcErrors } from '@maildoot/rpc/errors';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { captureLogs } from '@maildoot/testkit/logs';
import type { Config } from '../src/config.ts';
import { migrations, schema, start } from '../src/service.ts';

const tables = tablesOf({ [schema]: migrations });

const definition = {
  ...AuthServiceService,
  ...SessionServiceService,
  ...SmtpUserServiceService,
  ...TeamServiceService,
  ...QuotaServiceService,
  ...AuditServiceService,
  ...DeprecationServiceService,
  ...OperatorServiceService,
  ...StandingServiceService,
  ...UserServiceService,
} as const;

const rpcSecret = 'a secret of at least 32 characters for tests';

/** `databaseUrl`: beside another process of auth, on its database or by another way to it. */
export async function startAuth(options: { databaseUrl?: string } = {}) {
  await using starting = new AsyncDisposableStack();
  const testDatabase =
    options.databaseUrl === undefined ? starting.use(await createTestDatabase({ template: tables })) : { url: options.databaseUrl };
  const logs = captureLogs();
  // Today, for tables have partitions by its days, and ids the time of the machine; far from midnight and in the middle of a minute.
  const clock = new TestClock(new Date(`${new Date().toISOString().slice(0, 10)}T12:00:30Z`));
  const notices: SendNoticeRequest[] = [];
  const takesNotices = { current: true };
  const messaging = starting.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret: rpcSecret,
      service: 'messaging',
      logger: createLogger({ service: 'messaging', level: 'silent' }),
      implementations: [
        implement(NoticeServiceService, {
          sendNotice: {
            allow: ['auth'],
            handle: (request) => {
              if (!takesNotices.current) throw rpcErrors.UNAVAILABLE({ message: 'not now' });
              notices.push(request);
              return { messageId: 'msg_1' };
            },
          },
        }),
      ],
    }),
  );
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
    messagingAddress: messaging.address,
    auditRetentionDays: 365,
  };
  const logger = createLogger({ service: 'auth', level: 'debug', destination: logs.destination });
  const service = starting.use(await start(config, { clock, logger }));
  const client = (self: string) =>
    starting.use(createRpcClient(definition, { address: service.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 60_000 }));
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
    /** What messaging was given to send. */
    notices,
    takesNotices,
    /** Looks into the tables behind the service's back. */
    database,
    databaseUrl: testDatabase.url,
    stopService: () => service[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

export type RunningAuth = Awaited<ReturnType<typeof startAuth>>;

let tenants = 0;

export const origin = { address: '198.51.100.7', userAgent: 'a browser' };
export const issuer = 'https://mail.example';
export const password = 'correct horse battery staple';

/** A tenant whose owner has a password. */
export async function tenantWithOwner(auth: RunningAuth) {
  const tenant = await newTenant(auth);
  const email = `owner${tenants}@example.com`;
  await choosePassword(auth, email);
  return { ...tenant, email };
}

/** By a link of the operator's. */
export async function choosePassword(auth: RunningAuth, email: string, newPassword = password): Promise<void> {
  const { token } = await auth.operator.createPasswordLink({ email, onlyIfNone: false });
  await auth.gateway.completePasswordReset({ token, newPassword, origin });
}

export async function login(auth: RunningAuth, email: string, from = origin, text = password) {
  const { tokens, user } = await auth.gateway.login({ email, password: text, origin: from, issuer });
  if (!tokens || !user) throw new Error('no tokens');
  const claims = JSON.parse(Buffer.from(tokens.accessToken.split('.')[1] ?? '', 'base64url').toString()) as Record<string, string>;
  return { ...tokens, user, sessionId: claims.sid ?? '', claims };
}

/** A tenant with its first key. */
export async function newTenant(auth: RunningAuth) {
  tenants++;
  return auth.operator.createTenant({ name: `Tenant ${tenants}`, email: `owner${tenants}@example.com` });
}
