// The power to stop: cancelling is a marker in the ledger for what has not been enqueued yet, and the end of every due row that no attempt
// holds, in one transaction with the events that say so.
import type { Database } from '@maildoot/db/database';
import { appendOutbox } from '@maildoot/events/outbox';
import { attemptRecorded } from '@maildoot/events/topics';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { uuidToId } from '@maildoot/runtime/ids';
import type { PoolClient } from 'pg';
import { insertAttempts } from './attempt.ts';

export interface Cancelled {
  cancelled: number[];
  tooLate: number[];
}

/** Cancels recipients of one message. Asked again, it gives the same answer and publishes nothing more. */
export async function cancelRecipients(
  database: Database,
  tenantId: string,
  messageId: string,
  numbers: readonly number[],
  now: Date,
): Promise<Cancelled> {
  return await database.transaction(async (client) => {
    // Waits for an enqueue of the same recipients that is under way; then either it or this is first.
    const marked = await client.query<{ recipient_number: number }>(
      `INSERT INTO ledger (message_id, recipient_number, tenant_id, cancelled)
       SELECT $1, number, $2, true FROM unnest($3::int[]) AS number ORDER BY number
       ON CONFLICT DO NOTHING RETURNING recipient_number`,
      [messageId, tenantId, numbers],
    );
    // A claim under way holds its rows: this waits, sees them claimed and leaves them. A statement of its own, to see what was enqueued meanwhile.
    const stopped = await client.query<{
      recipient_number: number;
      address: string;
      attempt: number;
      queued_at: Date;
      possible_duplicate: boolean;
      traceparent: string | null;
    }>(
      `WITH stopped AS (
         DELETE FROM due WHERE message_id = $1 AND tenant_id = $2 AND recipient_number = ANY ($3::int[]) AND incarnation IS NULL
         RETURNING recipient_number, address, attempt, queued_at, possible_duplicate, traceparent
       ), noted AS (
         UPDATE ledger l SET cancelled = true FROM stopped s WHERE l.message_id = $1 AND l.recipient_number = s.recipient_number
       )
       SELECT * FROM stopped`,
      [messageId, tenantId, numbers],
    );
    const events = [
      ...marked.rows.map((row) => ({ traceparent: undefined, event: cancelledEvent(tenantId, messageId, row.recipient_number, now, {}) })),
      ...stopped.rows.map((row) => ({
        traceparent: row.traceparent ?? undefined,
        event: cancelledEvent(tenantId, messageId, row.recipient_number, now, {
          recipient: row.address,
          attempt: row.attempt,
          queuedAt: row.queued_at,
          possibleDuplicate: row.possible_duplicate,
        }),
      })),
    ];
    await insertAttempts(
      client,
      events.map(({ event }) => ({ messageId, tenantId, incarnation: undefined, late: false, event })),
    );
    await appendOutbox(
      client,
      events.map(({ event, traceparent }) => ({ topic: attemptRecorded, event, ...(traceparent !== undefined && { traceparent }) })),
    );
    return await answer(client, tenantId, messageId, numbers);
  });
}

async function answer(client: PoolClient, tenantId: string, messageId: string, numbers: readonly number[]): Promise<Cancelled> {
  const result = await client.query<{ recipient_number: number }>(
    'SELECT recipient_number FROM ledger WHERE message_id = $1 AND tenant_id = $2 AND cancelled AND recipient_number = ANY ($3::int[])',
    [messageId, tenantId, numbers],
  );
  const cancelled = new Set(result.rows.map((row) => row.recipient_number));
  return { cancelled: numbers.filter((number) => cancelled.has(number)), tooLate: numbers.filter((number) => !cancelled.has(number)) };
}

function cancelledEvent(
  tenantId: string,
  messageId: string,
  recipientNumber: number,
  now: Date,
  more: Partial<AttemptRecordedEvent>,
): AttemptRecordedEvent {
  return AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', messageId),
    tenantId: uuidToId('ten', tenantId),
    recipientNumber,
    outcome: Outcome.OUTCOME_CANCELLED,
    finishedAt: now,
    ...more,
  });
}
