// mailbox: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.

import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { watchDatabase } from '@maildoot/db/watch';
import { outboxMigrations } from '@maildoot/events/migrations';
import { appendOutbox } from '@maildoot/events/outbox';
import { startSequencer } from '@maildoot/events/sequencer';
import { reportReceived } from '@maildoot/events/topics';
import { linkKeys } from '@maildoot/mail/tracking-token';
import { ReportKind } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import type { Config } from './config.ts';
import { startMxDoor } from './mx-door.ts';
import { type Arrived, reportsIn } from './report.ts';
import { telemetry } from './telemetry.ts';

export const schema = 'mailbox';
/** It has no tables but the outbox. */
export const migrations = [outboxMigrations];

export interface Running extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  rpcAddress: string;
  /** Where the MX door is. */
  mxAddress: string;
}

export async function start(config: Config, parts: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  const clock = parts.clock ?? systemClock;
  const logger = parts.logger ?? createLogger({ service: 'mailbox', level: config.logLevel });
  if (config.migrateAtStart) await migrate({ url: config.databaseUrl, schema, migrations, logger });

  // Disposed of in reverse: the doors first, the database last.
  await using starting = new AsyncDisposableStack();
  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  const applicationName = 'mailbox';
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName, logger }));
  const health = createHealth();
  starting.use(watchDatabase({ database, url, health, applicationName, logger }));
  const sequencer = starting.use(startSequencer({ database, logger, kafkaBrokers: config.kafkaBrokers }));
  await sequencer.ready;

  const keys = linkKeys(config.linkKeys, config.rpcSecret);
  const receive = async (arrived: Arrived): Promise<void> => {
    const events = reportsIn(arrived, keys);
    if (events.length > 0) {
      await database.transaction((client) =>
        appendOutbox(
          client,
          events.map((event) => ({ topic: reportReceived, event })),
        ),
      );
      sequencer.wake();
    } else telemetry.received(logger, 'no_report', { messageId: '' });
    for (const { kind, messageId, action, enhancedCode } of events) {
      const arrival = kind === ReportKind.REPORT_KIND_FEEDBACK ? 'feedback_report' : 'delivery_report';
      telemetry.received(logger, arrival, { messageId, action: String(action), code: enhancedCode });
    }
  };
  const door = starting.use(
    await startMxDoor({
      listen: config.mxListen,
      hostname: config.mailHostname,
      keys,
      maxSessions: config.mxMaxSessions,
      perHolder: { most: config.mxMaxSessionsPerAddress },
      maxMessageBytes: config.mxMaxMessageBytes,
      now: () => clock.now(),
      receive,
      onRefusedRecipient: () => telemetry.recipientRefused(),
      onRefusedMessage(reason, error) {
        telemetry.messageRefused(reason);
        if (error !== undefined) telemetry.notKept(logger, error);
      },
      onTrouble: (error) => telemetry.serverTrouble(logger, error),
    }),
  );
  // Nobody asks it anything yet but how it is.
  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: 'mailbox',
      logger,
      health,
      implementations: [],
    }),
  );
  starting.defer(async () => {
    health.state = 'draining';
  });
  health.state = 'ready';

  const running = starting.move();
  return { rpcAddress: server.address, mxAddress: door.address, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
