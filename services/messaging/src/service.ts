// Builds the service from its parts. main.ts, standalone and the tests all start it here.
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { dbMigrations } from '@maildoot/db/migrations';
import { watchDatabase } from '@maildoot/db/watch';
import { createEventLog } from '@maildoot/events/event-log';
import { outboxMigrations } from '@maildoot/events/migrations';
import { startSequencer } from '@maildoot/events/sequencer';
import { linkKeys } from '@maildoot/mail/tracking-token';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { ScheduleServiceService } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { EngagementServiceService } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { StatsServiceService } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { SuppressionCheckServiceService, SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import { TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { createRpcClient } from '@maildoot/rpc/client';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { createSealer } from '@maildoot/runtime/seal';
import { createAcceptor } from './accept.ts';
import { outsideOf, startCallbacks, startCallbacksAlone } from './callbacks/process.ts';
import type { CallbackRole } from './callbacks/role.ts';
import type { Config } from './config.ts';
import { consumeAttemptRecorded } from './consumers/attempt-recorded.ts';
import { consumeMessageAccepted } from './consumers/message-accepted.ts';
import { consumeReportReceived } from './consumers/report-received.ts';
import { createFeed } from './feed.ts';
import { startFeedNews } from './feed-news.ts';
import { startFeedSequencer } from './jobs/feed-sequencer.ts';
import { startIdempotencyExpiry } from './jobs/idempotency-expiry.ts';
import { startPartitions } from './jobs/partitions.ts';
import { startStatsExpiry } from './jobs/stats-expiry.ts';
import { createMimeFreezer } from './mime.ts';
import { Pace } from './pace.ts';
import { acceptMessages } from './rpc/accept-messages.ts';
import { addSuppressions } from './rpc/add-suppressions.ts';
import { appendTenantEvent } from './rpc/append-tenant-event.ts';
import { cancelBatch } from './rpc/cancel-batch.ts';
import { cancelMessage } from './rpc/cancel-message.ts';
import { createCallback } from './rpc/create-callback.ts';
import { deleteCallback } from './rpc/delete-callback.ts';
import { deleteSuppression } from './rpc/delete-suppression.ts';
import { dryRun } from './rpc/dry-run.ts';
import { createEngagementDoor } from './rpc/engagement.ts';
import { findSuppressed } from './rpc/find-suppressed.ts';
import { getCallback } from './rpc/get-callback.ts';
import { getContent } from './rpc/get-content.ts';
import { getMessage } from './rpc/get-message.ts';
import { getStats } from './rpc/get-stats.ts';
import { getTimeline } from './rpc/get-timeline.ts';
import { listCallbackAttempts } from './rpc/list-callback-attempts.ts';
import { listCallbacks } from './rpc/list-callbacks.ts';
import { listEvents } from './rpc/list-events.ts';
import { listMessages } from './rpc/list-messages.ts';
import { listSuppressions } from './rpc/list-suppressions.ts';
import { readContents } from './rpc/read-contents.ts';
import { replayCallback } from './rpc/replay-callback.ts';
import { rescheduleMessage } from './rpc/reschedule-message.ts';
import { resendMessage } from './rpc/resend-message.ts';
import { rotateCallbackSecret } from './rpc/rotate-callback-secret.ts';
import { noticeFrom, sendNotice } from './rpc/send-notice.ts';
import { testCallback } from './rpc/test-callback.ts';
import { updateCallback } from './rpc/update-callback.ts';
import { createSenderDomains } from './sender-domains.ts';
import { createContentStore } from './store/content.ts';
import { createMessageStore } from './store/messages.ts';
import { createTelemetry } from './telemetry.ts';
import { createTrackingHosts } from './tracking-hosts.ts';

const name = 'messaging';
export const schema = 'messaging';
export const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url)), dbMigrations, outboxMigrations];

export interface Running extends AsyncDisposable {
  /** `host:port` of the RPC door. */
  rpcAddress: string;
}

export async function start(config: Config, given: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  const clock = given.clock ?? systemClock;
  const logger = given.logger ?? createLogger({ service: name, level: config.logLevel });
  const telemetry = createTelemetry(logger);
  const health = createHealth();
  if (config.role === 'callbacks') return await startCallbacksAlone(config, { schema, migrations }, { clock, logger, telemetry, health });
  // Stops in the opposite order of starting, also when starting fails half way.
  await using starting = new AsyncDisposableStack();

  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  if (config.migrateAtStart) await migrate({ url, schema, migrations, logger });
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName: name, logger }));
  starting.use(watchDatabase({ database, url, health, applicationName: name, logger }));
  starting.use(await startPartitions({ ...config, database, clock, logger, telemetry }));
  starting.use(startIdempotencyExpiry({ database, clock, telemetry }));
  starting.use(startStatsExpiry({ database, clock, telemetry, retentionDays: config.statsRetentionDays }));
  const messages = starting.use(createMessageStore(database));
  const contents = createContentStore(database);

  const peer = { self: name, secret: config.rpcSecret };
  const domains = starting.use(createRpcClient(DomainServiceService, { ...peer, address: config.domainAddress, defaultDeadlineMs: 2_000 }));
  const { templateAddress: address } = config;
  const templates =
    address === undefined
      ? undefined
      : starting.use(createRpcClient(TemplateServiceService, { ...peer, address, defaultDeadlineMs: 10_000 }));
  const delivery = starting.use(
    createRpcClient(DeliveryServiceService, { ...peer, address: config.deliveryAddress, defaultDeadlineMs: 4_000 }),
  );

  const schedule = starting.use(
    createRpcClient(ScheduleServiceService, { ...peer, address: config.deliveryAddress, defaultDeadlineMs: 4_000 }),
  );

  const log = starting.use(createEventLog({ url, kafkaBrokers: config.kafkaBrokers, logger, clientId: name }));
  const news = starting.use(startFeedNews({ pool: database.pool, telemetry }));
  const feed = starting.use(startFeedSequencer({ database, clock, telemetry, onGrown: (tenantIds) => grown(tenantIds) }));
  const wakeFeed = () => feed.wake();
  let callbacks: CallbackRole | undefined;
  const grown = (tenantIds: readonly string[]) => {
    news.announce(tenantIds);
    callbacks?.wake();
  };
  const sealer = createSealer(config.sealKeys);
  const managed = { ...outsideOf(config), database, sealer, clock, feedBound: () => feed.bound };
  starting.use(consumeAttemptRecorded({ database, log, clock, telemetry, wakeFeed }));
  starting.use(consumeMessageAccepted({ database, log, wakeFeed }));
  starting.use(consumeReportReceived({ database, log, clock, telemetry, wakeFeed }));
  const sequencer = starting.use(startSequencer({ database, logger, kafkaBrokers: config.kafkaBrokers }));
  await sequencer.ready;

  const mime = starting.use(createMimeFreezer());
  const linkKey = linkKeys(config.linkKeys, config.rpcSecret)[0];
  const acceptor = starting.use(
    createAcceptor({
      database,
      senderDomains: createSenderDomains({ domains, clock }),
      trackingHosts: createTrackingHosts({ domains, clock }),
      templates,
      mime,
      linkKey,
      capture: config.capture,
      pace: new Pace({ database, clock, perMinute: config.tenantPace, backlog: config.tenantBacklog }),
      clock,
      telemetry,
      wakeSequencer: () => sequencer.wake(),
      // The rest of the connections is for those who read.
      commitConcurrency: Math.max(1, Math.min(3, Math.floor(maxConnections / 2))),
    }),
  );

  const engagement = starting.use(createEngagementDoor({ database, clock, telemetry, wakeFeed }));

  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: name,
      logger,
      health,
      implementations: [
        implement(MessagingServiceService, {
          acceptMessages: acceptMessages(acceptor),
          listMessages: listMessages({ messages, clock }),
          getMessage: getMessage({ messages, clock }),
          getTimeline: getTimeline({ database, messages, clock }),
          listEvents: listEvents({ feed: createFeed(database.pool), news }),
          cancelMessage: cancelMessage({ database, messages, delivery, clock, telemetry }),
          cancelBatch: cancelBatch({ database, messages, delivery, clock, telemetry }),
          rescheduleMessage: rescheduleMessage({ database, messages, schedule, clock, telemetry, wakeFeed }),
          resendMessage: resendMessage({ messages, contents, acceptor }),
          dryRun: dryRun({ acceptor, pool: database.pool }),
          getContent: getContent({ contents, messages }),
          readContents: readContents(contents),
        }),
        implement(CallbackServiceService, {
          createCallback: createCallback(managed),
          listCallbacks: listCallbacks(managed),
          getCallback: getCallback(managed),
          updateCallback: updateCallback(managed),
          deleteCallback: deleteCallback(managed),
          testCallback: testCallback(managed),
          rotateCallbackSecret: rotateCallbackSecret(managed),
          listCallbackAttempts: listCallbackAttempts(managed),
          replayCallback: replayCallback(managed),
        }),
        implement(TenantEventServiceService, { appendTenantEvent: appendTenantEvent({ database, wakeFeed }) }),
        implement(EngagementServiceService, engagement.implementations),
        implement(StatsServiceService, { getStats: getStats(database) }),
        implement(NoticeServiceService, {
          sendNotice: sendNotice({ acceptor, from: noticeFrom(config.noticeFrom, config.publicUrl) }),
        }),
        implement(SuppressionServiceService, {
          listSuppressions: listSuppressions(database),
          addSuppressions: addSuppressions({ database, clock }),
          deleteSuppression: deleteSuppression(database),
        }),
        implement(SuppressionCheckServiceService, { findSuppressed: findSuppressed(database) }),
      ],
    }),
  );
  if (config.role === 'all')
    callbacks = starting.use(await startCallbacks(config, { database, sealer, clock, telemetry, noticeAddress: server.address, wakeFeed }));
  health.state = 'ready';

  const running = starting.move();
  return {
    rpcAddress: server.address,
    async [Symbol.asyncDispose]() {
      health.state = 'draining';
      news.close();
      await running.disposeAsync();
    },
  };
}
