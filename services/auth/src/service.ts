// auth: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.

import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { keepExpiring } from '@maildoot/db/idempotency-expiry';
import { migrate } from '@maildoot/db/migrate';
import { dbMigrations } from '@maildoot/db/migrations';
import { keepPartitions } from '@maildoot/db/partitions';
import { watchDatabase } from '@maildoot/db/watch';
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
import { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { createRpcClient } from '@maildoot/rpc/client';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { createSealer } from '@maildoot/runtime/seal';
import { createAuditNotes } from './audit-notes.ts';
import type { Config } from './config.ts';
import { answering } from './errors.ts';
import { Gate } from './gate.ts';
import { startSendingDeprecations } from './jobs/send-deprecations.ts';
import { startSendingNotices } from './jobs/send-notices.ts';
import { startTending } from './jobs/tend.ts';
import { createLastUsed } from './last-used.ts';
import { Revocations, revocationsChannel } from './revocations.ts';
import { authenticate } from './rpc/authenticate.ts';
import { authenticatePersonalAccessToken } from './rpc/authenticate-personal-access-token.ts';
import { authenticateSession } from './rpc/authenticate-session.ts';
import { authenticateSmtpUser } from './rpc/authenticate-smtp-user.ts';
import { changePassword } from './rpc/change-password.ts';
import { completePasswordReset } from './rpc/complete-password-reset.ts';
import { createApiKey } from './rpc/create-api-key.ts';
import { createPasswordLink } from './rpc/create-password-link.ts';
import { createSmtpUser } from './rpc/create-smtp-user.ts';
import { createTenant } from './rpc/create-tenant.ts';
import { deleteSmtpUser } from './rpc/delete-smtp-user.ts';
import { endSessions } from './rpc/end-sessions.ts';
import { getPersonalAccessToken } from './rpc/get-personal-access-token.ts';
import { getSigningKeys } from './rpc/get-signing-keys.ts';
import { getUser } from './rpc/get-user.ts';
import { inviteMember } from './rpc/invite-member.ts';
import { listApiKeys } from './rpc/list-api-keys.ts';
import { listAuditEntries } from './rpc/list-audit-entries.ts';
import { listMembers } from './rpc/list-members.ts';
import { listSessions } from './rpc/list-sessions.ts';
import { listSmtpUsers } from './rpc/list-smtp-users.ts';
import { listSuspendedTenants } from './rpc/list-suspended-tenants.ts';
import { listTenants } from './rpc/list-tenants.ts';
import { login } from './rpc/login.ts';
import { recordActions } from './rpc/record-actions.ts';
import { recordDeprecatedCalls } from './rpc/record-deprecated-calls.ts';
import { recordRefusals } from './rpc/record-refusals.ts';
import { refresh } from './rpc/refresh.ts';
import { regeneratePersonalAccessToken } from './rpc/regenerate-personal-access-token.ts';
import { releaseTenant } from './rpc/release-tenant.ts';
import { removeMember } from './rpc/remove-member.ts';
import { requestPasswordReset } from './rpc/request-password-reset.ts';
import { resetSmtpPassword } from './rpc/reset-smtp-password.ts';
import { revokeApiKey } from './rpc/revoke-api-key.ts';
import { rotateSigningKey } from './rpc/rotate-signing-key.ts';
import { setQuotas } from './rpc/set-quotas.ts';
import { suspendTenant } from './rpc/suspend-tenant.ts';
import { takeQuota } from './rpc/take-quota.ts';
import { watchRevocations } from './rpc/watch-revocations.ts';
import { insertEntries } from './store/audit.ts';
import { openDeprecations } from './store/deprecations.ts';
import { openGuesses } from './store/guesses.ts';
import { openPeople } from './store/people.ts';
import { openPersonalAccessTokens } from './store/personal-access-tokens.ts';
import { openQuotas } from './store/quotas.ts';
import { openSmtpUsers } from './store/smtp-users.ts';
import { openTenants } from './store/tenants.ts';
import { openTokenKeys } from './store/token-keys.ts';
import { openStore } from './store.ts';
import { telemetry } from './telemetry.ts';
import { TokenKeys } from './token-keys.ts';

const noticeDeadlineMs = 10_000;

export const schema = 'auth';
export const auditTable = { table: 'audit_entry', by: 'uuidv7' } as const;
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
  const smtpUsers = openSmtpUsers(database);
  const smtpUserLastUsed = starting.use(
    createLastUsed({
      now: () => clock.now(),
      write: (ids, at) => smtpUsers.setLastUsed(ids, at),
      failed: (error, count) => telemetry.lastUsedNotWritten(logger, error, count),
      delayMs: 1000,
    }),
  );
  starting.use(keepExpiring({ pool: database.pool, clock, onFailure: (error) => telemetry.answersNotExpired(logger, error) }));
  starting.use(
    await keepPartitions({
      pool: database.pool,
      clock,
      logger,
      onFailure: (error) => telemetry.partitionsNotKept(logger, error),
      tables: [{ ...auditTable, retentionDays: config.auditRetentionDays }],
    }),
  );
  const { note } = starting.use(
    createAuditNotes({
      write: (entries) => insertEntries(database.pool, entries),
      failed: (error, count) => telemetry.notesNotWritten(logger, error, count),
    }),
  );
  const sealer = createSealer(config.sealKeys);
  const [people, guesses, quotas, tenants] = [openPeople(database), openGuesses(database), openQuotas(database), openTenants(database)];
  const tokens = openPersonalAccessTokens(database);
  const tokenKeys = new TokenKeys({ store: openTokenKeys(database), sealer, clock });
  const gate = new Gate({ atOnce: 2, mostWaiting: 40, longestWaitMs: 2_000 });
  const refreshGate = new Gate({ atOnce: 2, mostWaiting: 200, longestWaitMs: 2_000 });
  const sessions = { people, guesses, tokenKeys, clock, gate, refreshGate, note };
  starting.use(startTending({ people, tokens, guesses, quotas, tokenKeys, clock, logger }));
  const messaging =
    config.messagingAddress === undefined
      ? undefined
      : starting.use(
          createRpcClient(NoticeServiceService, {
            address: config.messagingAddress,
            self: 'auth',
            secret: config.rpcSecret,
            defaultDeadlineMs: noticeDeadlineMs,
          }),
        );
  const notices = starting.use(startSendingNotices({ people, clock, messaging, logger }));
  const kept = (): void => notices.wake();
  const deprecations = openDeprecations(database);
  const deprecationNotices = starting.use(startSendingDeprecations({ deprecations, clock, messaging, logger }));

  const gateway = ['gateway'];
  const operator = ['operator', 'standalone'];
  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: 'auth',
      logger,
      health,
      implementations: [
        implement(AuthServiceService, {
          authenticate: { allow: gateway, handle: answering(authenticate({ store, clock, lastUsed, note })) },
          createApiKey: { allow: gateway, handle: answering(createApiKey({ store, clock, sealer })) },
          listApiKeys: { allow: gateway, handle: answering(listApiKeys({ store })) },
          revokeApiKey: { allow: gateway, handle: answering(revokeApiKey({ store, clock })) },
          watchRevocations: { allow: gateway, handle: watchRevocations({ revocations }) },
          createTenant: { allow: operator, handle: answering(createTenant({ store, clock })) },
        }),
        implement(SessionServiceService, {
          login: { allow: gateway, handle: answering(login(sessions)) },
          refresh: { allow: gateway, handle: answering(refresh(sessions)) },
          authenticateSession: { allow: gateway, handle: answering(authenticateSession({ people, clock })) },
          listSessions: { allow: gateway, handle: answering(listSessions({ people, clock })) },
          endSessions: { allow: gateway, handle: answering(endSessions(sessions)) },
          changePassword: { allow: gateway, handle: answering(changePassword(sessions)) },
          requestPasswordReset: { allow: gateway, handle: answering(requestPasswordReset(sessions, kept)) },
          completePasswordReset: { allow: gateway, handle: answering(completePasswordReset(sessions)) },
          getSigningKeys: { allow: gateway, handle: answering(getSigningKeys({ tokenKeys })) },
        }),
        implement(TeamServiceService, {
          // messaging: whom to tell that a callback was disabled.
          listMembers: { allow: [...gateway, 'messaging'], handle: answering(listMembers({ people })) },
          inviteMember: { allow: gateway, handle: answering(inviteMember({ people, guesses, store, clock }, kept)) },
          removeMember: { allow: gateway, handle: answering(removeMember({ people, clock })) },
        }),
        implement(UserServiceService, {
          getUser: { allow: gateway, handle: answering(getUser({ people })) },
          getPersonalAccessToken: { allow: gateway, handle: answering(getPersonalAccessToken({ people, tokens, sealer })) },
          regeneratePersonalAccessToken: {
            allow: gateway,
            handle: answering(regeneratePersonalAccessToken({ people, tokens, sealer, clock })),
          },
          authenticatePersonalAccessToken: { allow: gateway, handle: answering(authenticatePersonalAccessToken({ tokens, note })) },
        }),
        implement(SmtpUserServiceService, {
          createSmtpUser: { allow: gateway, handle: answering(createSmtpUser({ smtpUsers, store, sealer, clock })) },
          listSmtpUsers: { allow: gateway, handle: answering(listSmtpUsers({ smtpUsers })) },
          deleteSmtpUser: { allow: gateway, handle: answering(deleteSmtpUser({ smtpUsers })) },
          resetSmtpPassword: { allow: gateway, handle: answering(resetSmtpPassword({ smtpUsers, store, sealer, clock })) },
          authenticateSmtpUser: { allow: gateway, handle: answering(authenticateSmtpUser({ smtpUsers, lastUsed: smtpUserLastUsed })) },
        }),
        implement(QuotaServiceService, {
          takeQuota: { allow: gateway, handle: answering(takeQuota({ quotas, clock })) },
        }),
        implement(AuditServiceService, {
          listAuditEntries: { allow: gateway, handle: answering(listAuditEntries({ database })) },
          recordActions: { allow: gateway, handle: answering(recordActions({ database })) },
          recordRefusals: { allow: gateway, handle: answering(recordRefusals({ note })) },
        }),
        implement(DeprecationServiceService, {
          recordDeprecatedCalls: {
            allow: gateway,
            handle: answering(recordDeprecatedCalls({ deprecations, clock }, () => deprecationNotices.wake())),
          },
        }),
        implement(StandingServiceService, {
          listSuspendedTenants: { allow: ['delivery'], handle: answering(listSuspendedTenants({ tenants })) },
        }),
        implement(OperatorServiceService, {
          listTenants: { allow: operator, handle: answering(listTenants({ tenants })) },
          suspendTenant: { allow: operator, handle: answering(suspendTenant({ tenants, clock })) },
          releaseTenant: { allow: operator, handle: answering(releaseTenant({ tenants })) },
          setQuotas: { allow: operator, handle: answering(setQuotas({ tenants })) },
          createPasswordLink: { allow: operator, handle: answering(createPasswordLink(sessions)) },
          rotateSigningKey: { allow: operator, handle: answering(rotateSigningKey({ tokenKeys })) },
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
