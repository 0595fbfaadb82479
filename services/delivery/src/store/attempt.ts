// Recorded attempts: what an SMTP session ended in, written together with the event that tells others and with the row's next state.
import type { Database } from '@maildoot/db/database';
import { appendOutbox } from '@maildoot/events/outbox';
import { attemptRecorded } from '@maildoot/events/topics';
import type { AttemptRecordedEvent } from '@maildoot/proto/maildoot/delivery/v1/events';
import type { PoolClient } from 'pg';
import { fence, type Held, upsertReady } from './due.ts';

/** How an attempt ended, for one recipient. */
export interface AttemptEnd extends Held {
  tenantId: string;
  event: AttemptRecordedEvent;
  traceparent: string | undefined;
  /** The next attempt; undefined when the recipient is final. */
  next: { dueAt: Date; destination: string; possibleDuplicate: boolean } | undefined;
}

/** What became of the record. `late`: others had declared this pod dead, so the row isn't ours; the event was published as a possible duplicate. */
export type Recorded = 'recorded' | 'late' | 'again';

/**
 * Records many ends in one transaction. A write for a row that another incarnation or claim owns by now changes nothing in the queue and
 * is kept as an attempt with possible_duplicate; the same end once more (the answer to a COMMIT was lost) changes nothing at all.
 */
export async function recordEnds(database: Database, ends: readonly AttemptEnd[]): Promise<Recorded[]> {
  return await database.transaction(async (client) => {
    const fenced = await client.query<{ message_id: string; recipient_number: number }>(
      `WITH ended AS (
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[], $5::timestamptz[], $6::text[], $7::bool[])
           AS e(message_id, recipient_number, incarnation, claims, next_due_at, destination, possible_duplicate)
       ), final AS (
         DELETE FROM due d USING ended e
         WHERE e.next_due_at IS NULL AND d.message_id = e.message_id AND d.recipient_number = e.recipient_number
           AND d.incarnation = e.incarnation AND d.claims = e.claims
         RETURNING d.message_id, d.recipient_number
       ), freed AS (
         UPDATE due d SET incarnation = NULL, claimed_at = NULL, next_due_at = e.next_due_at, destination = e.destination,
                possible_duplicate = e.possible_duplicate
         FROM ended e
         WHERE e.next_due_at IS NOT NULL AND d.message_id = e.message_id AND d.recipient_number = e.recipient_number
           AND d.incarnation = e.incarnation AND d.claims = e.claims
         RETURNING d.message_id, d.recipient_number, d.destination, d.tenant_id, d.next_due_at
       ), woken AS (${upsertReady})
       SELECT message_id, recipient_number FROM final UNION ALL SELECT message_id, recipient_number FROM freed`,
      [
        ...fence(ends),
        ends.map((end) => end.next?.dueAt ?? null),
        ends.map((end) => end.next?.destination ?? null),
        ends.map((end) => end.next?.possibleDuplicate ?? null),
      ],
    );
    const ours = new Set(fenced.rows.map((row) => `${row.message_id}/${row.recipient_number}`));
    const late = ends.filter((end) => !ours.has(`${end.messageId}/${end.recipientNumber}`));
    const known = late.length === 0 ? new Set<string>() : await alreadyRecorded(client, late);
    const results = ends.map((end): Recorded => {
      if (ours.has(`${end.messageId}/${end.recipientNumber}`)) return 'recorded';
      return known.has(endKey(end)) ? 'again' : 'late';
    });
    const written = ends.flatMap((end, index) => {
      if (results[index] === 'again') return [];
      const isLate = results[index] === 'late';
      const event = isLate ? { ...end.event, possibleDuplicate: true } : end.event;
      return [{ end, event, row: { messageId: end.messageId, tenantId: end.tenantId, incarnation: end.incarnation, late: isLate, event } }];
    });
    await insertAttempts(
      client,
      written.map(({ row }) => row),
    );
    await appendOutbox(
      client,
      written.map(({ end, event }) => ({
        topic: attemptRecorded,
        event,
        ...(end.traceparent !== undefined && { traceparent: end.traceparent }),
      })),
    );
    return results;
  });
}

async function alreadyRecorded(client: PoolClient, ends: readonly AttemptEnd[]): Promise<Set<string>> {
  const result = await client.query<{
    message_id: string;
    recipient_number: number;
    incarnation: string;
    attempt: number;
    outcome: number;
  }>(
    `SELECT a.message_id, a.recipient_number, a.incarnation, a.attempt, a.outcome
     FROM attempt a JOIN unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[]) AS e(message_id, recipient_number, incarnation, attempt)
       ON a.message_id = e.message_id AND a.recipient_number = e.recipient_number AND a.incarnation = e.incarnation AND a.attempt = e.attempt`,
    [
      ends.map((end) => end.messageId),
      ends.map((end) => end.recipientNumber),
      ends.map((end) => end.incarnation),
      ends.map((end) => end.event.attempt),
    ],
  );
  return new Set(result.rows.map((row) => `${row.message_id}/${row.recipient_number}/${row.incarnation}/${row.attempt}/${row.outcome}`));
}

function endKey(end: AttemptEnd): string {
  return `${end.messageId}/${end.recipientNumber}/${end.incarnation}/${end.event.attempt}/${end.event.outcome}`;
}

/** What the attempt table keeps of an event. */
export interface AttemptRow {
  messageId: string;
  tenantId: string;
  incarnation: string | undefined;
  late: boolean;
  event: AttemptRecordedEvent;
}

export async function insertAttempts(client: PoolClient, rows: readonly AttemptRow[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO attempt (message_id, recipient_number, tenant_id, attempt, incarnation, outcome, started_at, finished_at, host, reply_code,
                          enhanced_code, reply, possible_duplicate, late)
     SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[], $5::uuid[], $6::smallint[], $7::timestamptz[], $8::timestamptz[], $9::text[],
                          $10::int[], $11::text[], $12::text[], $13::bool[], $14::bool[])`,
    [
      rows.map((row) => row.messageId),
      rows.map((row) => row.event.recipientNumber),
      rows.map((row) => row.tenantId),
      rows.map((row) => row.event.attempt),
      rows.map((row) => row.incarnation ?? null),
      rows.map((row) => row.event.outcome),
      rows.map((row) => row.event.startedAt ?? null),
      rows.map((row) => row.event.finishedAt ?? null),
      rows.map((row) => row.event.session?.host ?? ''),
      rows.map((row) => row.event.session?.replyCode ?? 0),
      rows.map((row) => row.event.session?.enhancedCode ?? ''),
      rows.map((row) => row.event.session?.reply || (row.event.bounce?.diagnostic ?? '')),
      rows.map((row) => row.event.possibleDuplicate),
      rows.map((row) => row.late),
    ],
  );
}
