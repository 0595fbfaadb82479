// Records what became of recipients: the only way in which a recipient or a message changes its status. The consumer of delivery's events
// and the answer of a cancellation both end here.
//   1. lock the messages                     4. move each recipient forward, or not (status.ts)
//   2. keep each event once, tell the feed   5. write recipients and counters
//   3. read the recipients it is about       6. whoever has no mailbox is not written to again; count
import { AttemptRecordedEvent, Bounce, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { newUuid } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { keepEvents, ownEvents } from './keep-events.ts';
import { type Count, metricOf, untouchedCounts } from './stats.ts';
import { isEnd, messageStatus, moveCount, type Standing, standingAfter } from './status.ts';
import {
  acceptedKey,
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
import { readReported } from './store/reports.ts';
import { addCounts } from './store/stats.ts';
import { insertSuppressions } from './store/suppression.ts';
import { suppresses } from './suppression.ts';
import { eventType, queuedType } from './timeline.ts';

/** An outcome that was read and is known. Ids are the database's. */
export interface RecipientOutcome {
  messageId: string;
  tenantId: string;
  outcome: Exclude<Outcome, typeof Outcome.OUTCOME_UNSPECIFIED>;
  event: AttemptRecordedEvent;
}

/** What an outcome did here. Each ends in one of these. */
export type Recorded =
  /** The recipient moved. */
  | 'recorded'
  /** Kept as an event; the recipient stands further on already. */
  | 'not_forward'
  /** The same event was here before. */
  | 'seen_before'
  /** The message is older than its retention, or was never here. */
  | 'unknown_message'
  /** The message belongs to somebody else than the event says. */
  | 'foreign_message'
  /** The message has no such recipient. */
  | 'unknown_recipient';

/** Records outcomes within the caller's transaction; one answer for each, in order. `now` dates those that carry no time. */
export async function recordOutcomes(client: pg.ClientBase, outcomes: readonly RecipientOutcome[], now: Date): Promise<Recorded[]> {
  const messages = new Map(
    (await lockMessages(client, distinct(outcomes.map((one) => one.messageId)))).map((message) => [message.id, message]),
  );
  const recipients = await recipientsOf(client, outcomes);
  const results = outcomes.map((one): Recorded | undefined => {
    const message = messages.get(one.messageId);
    if (message === undefined) return 'unknown_message';
    if (message.tenantId !== one.tenantId) return 'foreign_message';
    return recipients.has(recipientKey(one)) ? undefined : 'unknown_recipient';
  });

  const kept = outcomes.filter((_, index) => results[index] === undefined);
  const concerned = distinct(kept.map((one) => one.messageId)).map((id) => messages.get(id)!);
  const fresh = await keepEvents(client, [
    ...(await ownEvents(client, concerned.filter(isUntouched))),
    ...kept.flatMap((one) => eventRows(one, now)),
  ]);
  const reported = await readReported(client, deliveredAfterBounce(kept, recipients));
  const changes = new Map<string, RecipientChange>();
  const counts: Count[] = concerned.filter(({ id }) => fresh.has(acceptedKey(id))).flatMap(untouchedCounts);
  for (const [index, one] of outcomes.entries()) {
    if (results[index] !== undefined) continue;
    // Taken out of the set: the second of two equal outcomes in one batch was seen before as well.
    if (!fresh.delete(keyOf(one))) {
      results[index] = 'seen_before';
      continue;
    }
    const key = recipientKey(one);
    const recipient = recipients.get(key)!;
    const standing: Standing = { status: recipient.status as Standing['status'], attempt: recipient.attempts };
    const next = standingAfter(standing, one.event.attempt, one.outcome);
    // A report of what became of the message behind that server was here first.
    if (next === undefined || (reported.has(key) && isEnd(next.status))) {
      results[index] = 'not_forward';
      continue;
    }
    moveCount(messages.get(one.messageId)!.statusCounts, standing.status, next.status);
    recipient.status = next.status;
    recipient.attempts = next.attempt;
    changes.set(key, changeOf(one, next));
    results[index] = 'recorded';
    const metric = metricOf(next.status);
    const at = one.event.finishedAt ?? now;
    if (metric !== undefined) counts.push({ message: messages.get(one.messageId)!, metric, at, recipients: 1 });
  }

  const moved = distinct([...changes.values()].map((change) => change.messageId)).map((id) => messages.get(id)!);
  for (const message of moved) message.status = messageStatus(message.statusCounts);
  await updateRecipients(client, [...changes.values()]);
  await updateMessages(client, moved);
  await suppressBounced(
    client,
    outcomes.filter((_, index) => results[index] === 'recorded'),
    messages,
    recipients,
  );
  await addCounts(client, counts);
  return results as Recorded[];
}

// Captured mail says nothing about a mailbox. Only the stream of the message: a newsletter's list may be old where the account mail's isn't.
async function suppressBounced(
  client: pg.ClientBase,
  recorded: readonly RecipientOutcome[],
  messages: ReadonlyMap<string, LockedMessage>,
  recipients: ReadonlyMap<string, RecipientRow>,
): Promise<void> {
  const entries = recorded
    .filter((one) => suppresses(one.outcome, one.event.bounce) && messages.get(one.messageId)?.captured === false)
    .map((one) => ({
      tenantId: one.tenantId,
      email: recipients.get(recipientKey(one))!.email,
      stream: messages.get(one.messageId)!.stream,
      reason: SuppressionReason.SUPPRESSION_REASON_BOUNCE,
      messageId: one.messageId,
    }));
  await insertSuppressions(client, entries);
}

function deliveredAfterBounce(outcomes: readonly RecipientOutcome[], recipients: ReadonlyMap<string, RecipientRow>) {
  return outcomes
    .filter((one) => one.outcome === Outcome.OUTCOME_DELIVERED)
    .flatMap((one) => recipients.get(recipientKey(one)) ?? [])
    .filter((recipient) => recipient.status === RecipientStatus.RECIPIENT_STATUS_BOUNCED);
}

// Nothing may have been recorded of it. Its own events come from another topic, maybe later than this: they are kept here first then.
function isUntouched({ status }: LockedMessage): boolean {
  return status === MessageStatus.MESSAGE_STATUS_QUEUED || status === MessageStatus.MESSAGE_STATUS_SCHEDULED;
}

async function recipientsOf(client: pg.ClientBase, outcomes: readonly RecipientOutcome[]): Promise<Map<string, RecipientRow>> {
  const wanted = new Map(outcomes.map((one) => [recipientKey(one), { messageId: one.messageId, number: one.event.recipientNumber }]));
  const rows = await readRecipients(client, [...wanted.values()]);
  return new Map(rows.map((row) => [`${row.messageId} ${row.number}`, row]));
}

function recipientKey(one: RecipientOutcome): string {
  return `${one.messageId} ${one.event.recipientNumber}`;
}

// A recipient is cancelled once, whatever attempt the two tellers of it (our own call, delivery's event) know of.
function attemptOf(one: RecipientOutcome): number {
  return one.outcome === Outcome.OUTCOME_CANCELLED ? 0 : one.event.attempt;
}

function keyOf(one: RecipientOutcome): string {
  return eventKey(one.messageId, one.event.recipientNumber, attemptOf(one), eventType(one.outcome));
}

// `queued` says nothing about an attempt.
const noDetail = new Uint8Array();

// The outcome itself, and that the recipient was queued, which delivery tells along with its first event.
function eventRows(one: RecipientOutcome, now: Date): NewEvent[] {
  const { event, messageId, tenantId } = one;
  const common = { messageId, tenantId, recipientNumber: event.recipientNumber };
  const at = event.finishedAt ?? event.startedAt ?? now;
  const rows: NewEvent[] = [];
  if (event.queuedAt !== undefined)
    rows.push({ ...common, attempt: 0, type: queuedType, id: newUuid(), at: event.queuedAt, detail: noDetail });
  const detail = AttemptRecordedEvent.encode(event).finish();
  rows.push({ ...common, attempt: attemptOf(one), type: eventType(one.outcome), id: newUuid(), at, detail });
  return rows;
}

function changeOf(one: RecipientOutcome, next: Standing): RecipientChange {
  const { event } = one;
  const delivered = one.outcome === Outcome.OUTCOME_DELIVERED;
  return {
    messageId: one.messageId,
    number: event.recipientNumber,
    status: next.status,
    attempts: next.attempt,
    nextAttemptAt: isEnd(next.status) ? null : (event.nextAttemptAt ?? null),
    bounce: delivered || event.bounce === undefined ? null : Bounce.encode(event.bounce).finish(),
  };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
