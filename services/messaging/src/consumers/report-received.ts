// mailbox.report-received.v1: what came back about a message after its recipient's server had taken it.
import type { Database } from '@maildoot/db/database';
import { type EventLog, type EventRecord, type Subscription, UnreadableEvent } from '@maildoot/events/log';
import { together } from '@maildoot/events/together';
import { PARTITIONS, reportReceived } from '@maildoot/events/topics';
import type { ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { type Report, recordReports } from '../record-reports.ts';
import type { Telemetry } from '../telemetry.ts';

const maxBatch = 100;
// What a smallint holds.
const maxNumber = 32_767;

export interface ReportReceivedParts {
  database: Database;
  log: EventLog;
  clock: Clock;
  telemetry: Telemetry;
  wakeFeed(): void;
}

export function consumeReportReceived({ database, log, clock, telemetry, wakeFeed }: ReportReceivedParts): Subscription {
  return log.subscribe(reportReceived, {
    group: 'messaging-reports',
    maxBatch,
    concurrency: PARTITIONS,
    handle: together(async (records) => {
      const reports = records.map((record) => reportOf(record, clock.now()));
      telemetry.reports(await database.transaction((client) => recordReports(client, reports)));
      wakeFeed();
    }, maxBatch),
  });
}

/** Throws on what this version can't act on: the record is parked then. */
function reportOf({ event }: EventRecord<ReportReceivedEvent>, now: Date): Report {
  const messageId = idToUuid('msg', event.messageId);
  if (messageId === undefined) throw new UnreadableEvent('a report names no message');
  if (event.recipientNumber > maxNumber) throw new UnreadableEvent('a report has a number that no recipient has');
  return { messageId, recipientNumber: event.recipientNumber, at: event.receivedAt ?? now, event };
}
