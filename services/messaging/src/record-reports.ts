// Records what comes back after a recipient's server had taken a message: the one way in which `delivered` is left. Only a delivery report
// that gives up moves anything; that a message is still tried, or has arrived behind that server, is known and changes nothing. A complaint
// is something that the recipient does (engagement.ts).
//   1. lock the messages                        4. keep the event, each report once
//   2. complaints                               5. the recipient bounces, the message follows
//   3. whoever has ended otherwise stays so     6. whoever has no mailbox is not written to again; count
import { AttemptRecordedEvent, Bounce, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { ReportAction, ReportKind, type ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import type { RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { recordEngagements } from './engagement.ts';
import { keepEvents } from './keep-events.ts';
import type { Count } from './stats.ts';
import { messageStatus, moveCount, statusAfterReport } from './status.ts';
import {
  eventKey,
  type LockedMessage,
  lockMessages,
  type NewEvent,
  type RecipientChange,
  type RecipientRow,
  readRecipients,
  updateMessages,
  updateRecipients,
} from './store/outcomes.ts';
import { reportAttempt } from './store/reports.ts';
import { addCounts } from './store/stats.ts';
import { insertSuppressions } from './store/suppression.ts';
import { suppresses } from './suppression.ts';
import { eventType } from './timeline.ts';

/** A report that was read. Ids are the database's. */
export interface Report {
  messageId: string;
  recipientNumber: number;
  at: Date;
  event: ReportReceivedEvent;
}

/** What a report did here. Each ends in one of these. */
export type ReportRecorded =
  /** The recipient bounced by it. */
  | 'bounced'
  /** The recipient called it spam. */
  | 'complained'
  /** It says that the message is on its way or has arrived. */
  | 'nothing_new'
  /** The recipient has ended otherwise, or a report of it was here before. */
  | 'not_forward'
  /** The message is older than its retention, was never here, or has no such recipient. */
  | 'unknown';

/** Records reports within the caller's transaction; one answer for each, in order. */
export async function recordReports(client: pg.ClientBase, reports: readonly Report[]): Promise<ReportRecorded[]> {
  // All of them at once and first: locks that are taken in two goes are taken in two orders.
  const messages = new Map((await lockMessages(client, distinct(reports.map((one) => one.messageId)))).map((one) => [one.id, one]));
  const complaints = reports.filter(({ event }) => event.kind === ReportKind.REPORT_KIND_FEEDBACK);
  await recordEngagements(client, complaints.map(complaintOf));

  const failures = reports.filter(isFailure);
  const rows = await readRecipients(client, [
    ...new Map(failures.map((one) => [keyOf(one), { messageId: one.messageId, number: one.recipientNumber }])).values(),
  ]);
  const recipients = new Map(rows.map((row) => [`${row.messageId} ${row.number}`, row]));
  const known = failures.flatMap((report): Known[] => {
    const message = messages.get(report.messageId);
    const recipient = recipients.get(keyOf(report));
    return message === undefined || recipient === undefined ? [] : [{ report, message, recipient }];
  });
  const moving = known.filter(({ recipient }) => statusAfterReport(recipient.status as RecipientStatus) !== undefined);
  const fresh = await keepEvents(client, moving.map(bouncedEvent));

  const changes: RecipientChange[] = [];
  const counts: Count[] = [];
  const bounced = new Set<Report>();
  for (const { report, message, recipient } of moving) {
    const next = statusAfterReport(recipient.status as RecipientStatus);
    // The second of two reports in one batch finds the first one's work done.
    if (next === undefined || !fresh.delete(eventKey(report.messageId, report.recipientNumber, reportAttempt, bouncedType))) continue;
    moveCount(message.statusCounts, recipient.status as RecipientStatus, next);
    recipient.status = next;
    const bounce = report.event.bounce === undefined ? null : Bounce.encode(report.event.bounce).finish();
    changes.push({
      messageId: message.id,
      number: recipient.number,
      status: next,
      attempts: recipient.attempts,
      nextAttemptAt: null,
      bounce,
    });
    counts.push({ message, metric: 'bounced', at: report.at, recipients: 1 });
    bounced.add(report);
  }
  const moved = [...new Set(changes.map(({ messageId }) => messages.get(messageId)!))];
  for (const message of moved) message.status = messageStatus(message.statusCounts);
  await updateRecipients(client, changes);
  await updateMessages(client, moved);
  await insertSuppressions(
    client,
    moving
      .filter(({ report, message }) => bounced.has(report) && !message.captured && suppresses(Outcome.OUTCOME_BOUNCED, report.event.bounce))
      .map(({ message, recipient }) => ({
        tenantId: message.tenantId,
        email: recipient.email,
        stream: message.stream,
        reason: SuppressionReason.SUPPRESSION_REASON_BOUNCE,
        messageId: message.id,
      })),
  );
  await addCounts(client, counts);

  const found = new Set(known.map(({ report }) => report));
  return reports.map((report): ReportRecorded => {
    if (report.event.kind === ReportKind.REPORT_KIND_FEEDBACK) return 'complained';
    if (!isFailure(report)) return 'nothing_new';
    if (bounced.has(report)) return 'bounced';
    return found.has(report) ? 'not_forward' : 'unknown';
  });
}

interface Known {
  report: Report;
  message: LockedMessage;
  recipient: RecipientRow;
}

const bouncedType = eventType(Outcome.OUTCOME_BOUNCED);

function isFailure({ event }: Report): boolean {
  return event.kind === ReportKind.REPORT_KIND_DELIVERY && event.action === ReportAction.REPORT_ACTION_FAILED;
}

function complaintOf({ messageId, recipientNumber, at, event }: Report): Parameters<typeof recordEngagements>[1][number] {
  const kind = EngagementKind.ENGAGEMENT_KIND_COMPLAINED;
  return { messageId, recipientNumber, kind, url: '', userAgent: event.userAgent, prefetch: false, at };
}

/** A bounce like any other, but of no attempt: the session in which the message was handed over had ended well. */
function bouncedEvent({ report, message, recipient }: Known): NewEvent {
  const { messageId, recipientNumber, at, event } = report;
  const detail = AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', messageId),
    tenantId: uuidToId('ten', message.tenantId),
    recipientNumber,
    recipient: recipient.email,
    outcome: Outcome.OUTCOME_BOUNCED,
    finishedAt: at,
    bounce: event.bounce,
  });
  return {
    ...{ messageId, tenantId: message.tenantId, recipientNumber, attempt: reportAttempt, type: bouncedType, id: newUuid(), at },
    detail: AttemptRecordedEvent.encode(detail).finish(),
  };
}

function keyOf({ messageId, recipientNumber }: Report): string {
  return `${messageId} ${recipientNumber}`;
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
