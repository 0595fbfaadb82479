// Topic messaging.message-accepted.v1: each recipient becomes a ledger row and a due row, once, however often the event comes. The position
// is committed by the log after that. No SMTP in here: a slow mail host must not hold up the queue.
import type { Database } from '@maildoot/db/database';
import { sqlState } from '@maildoot/db/errors';
import type { EventRecord } from '@maildoot/events/log';
import { normaliseDomain } from '@maildoot/mail/domain';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidTime } from '@maildoot/runtime/ids';
import { traceparentOf } from '@maildoot/runtime/telemetry';
import { fixedDestination, type Mode } from '../route.ts';
import { enqueue, type NewDueRow } from '../store/due.ts';
import type { Telemetry } from '../telemetry.ts';

export const group = 'delivery';

/** Ids of another form than ours, or a message from before the ledger's first day. The log parks the record. */
export class UnreadableEvent extends Error {
  override readonly name = 'UnreadableEvent';
}

export interface MessageAcceptedParts {
  database: Database;
  clock: Clock;
  mode: Mode;
  telemetry: Telemetry;
  /** There may be something to claim. */
  enqueued(): void;
}

// What PostgreSQL says when no partition takes a row.
const CHECK_VIOLATION = '23514';

// One statement takes this many; a message can have a thousand recipients.
const rowsPerStatement = 2_000;

export function handleMessageAccepted(parts: MessageAcceptedParts) {
  return async (records: readonly EventRecord<MessageAcceptedEvent>[]): Promise<void> => {
    const now = parts.clock.now();
    const rows = records.flatMap((record) => dueRowsOf(record, parts.mode, now));
    for (let from = 0; from < rows.length; from += rowsPerStatement) {
      const some = rows.slice(from, from + rowsPerStatement);
      parts.telemetry.enqueued(
        await enqueue(parts.database, some, now).catch((error: unknown) => Promise.reject(blamed(error, some, now))),
      );
    }
    parts.enqueued();
  };
}

// Partitions are there from yesterday on, also in a new house; one of an earlier day is missing for good.
const ledgerIsThereForMs = 48 * 3_600_000;

/** A day without a ledger can't tell whether the message was enqueued before: the record's own fault, unlike other missing partitions. */
function blamed(error: unknown, rows: readonly NewDueRow[], now: Date): unknown {
  const isOld = rows.some(({ messageId }) => uuidTime(messageId).getTime() < now.getTime() - ledgerIsThereForMs);
  return sqlState(error) === CHECK_VIOLATION && isOld ? new UnreadableEvent('the message is older than the ledger') : error;
}

function dueRowsOf(record: EventRecord<MessageAcceptedEvent>, mode: MessageAcceptedParts['mode'], now: Date): NewDueRow[] {
  const { event } = record;
  const messageId = idToUuid('msg', event.messageId);
  const tenantId = idToUuid('ten', event.tenantId);
  if (messageId === undefined || tenantId === undefined) throw new UnreadableEvent('message_id or tenant_id has an unknown form');
  const traceparent = traceparentOf(record.context);
  return event.recipients.map((recipient) => ({
    messageId,
    recipientNumber: recipient.number,
    tenantId,
    address: recipient.address,
    domain: domainOf(recipient.address),
    destination: fixedDestination(mode, event.captured),
    mailFrom: event.mailFrom,
    signingDomain: event.signingDomain,
    captured: event.captured,
    sizeBytes: Number(event.sizeBytes),
    personal: event.personal,
    // In the past is now: an event that was long on its way must not overtake those of its tenant that are due longer.
    nextDueAt: event.sendAt !== undefined && event.sendAt > now ? event.sendAt : now,
    queuedAt: now,
    traceparent,
  }));
}

// Messaging accepts nothing else than domains in A-labels. What is none all the same becomes a name that DNS has no answer for, so that the
// attempt says what is wrong.
function domainOf(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  return normaliseDomain(domain) ?? domain.toLowerCase().replace(/[^a-z0-9.[\]:-]/g, '?');
}
