// Recorded attempts: what an SMTP session ended in, written together with the event that tells others and with the row's next state.
import type { Database } from '@maildoot/db/database';
import { appendOutbox, outboxRows } from '@maildoot/events/outbox';
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

// One statement for what nearly all ends are: of rows that are still ours. Everything else in it hangs on what the fenced writes return.
const recordOurs = `
  WITH ended AS (
    SELECT e.*, sum(size) OVER (ORDER BY number) AS payload_end
    FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[], $5::timestamptz[], $6::text[], $7::bool[], $8::uuid[], $9::int[], $10::smallint[],
                $11::timestamptz[], $12::timestamptz[], $13::text[], $14::int[], $15::text[], $16::text[], $17::bool[], $18::uuid[], $19::text[],
                $20::smallint[], $21::text[], $22::int[], $23::text[])
      WITH ORDINALITY
      AS e(message_id, recipient_number, incarnation, claims, next_due_at, destination, again_duplicate, tenant_id, attempt, outcome,
           started_at, finished_at, host, reply_code, enhanced_code, reply, possible_duplicate, event_id, topic,
           shard, key, size, traceparent, number)
  ), final AS (
    DELETE FROM due d USING ended e
    WHERE e.next_due_at IS NULL AND d.message_id = e.message_id AND d.recipient_number = e.recipient_number
      AND d.incarnation = e.incarnation AND d.claims = e.claims
    RETURNING e.number
  ), freed AS (
    UPDATE due d SET incarnation = NULL, claimed_at = NULL, next_due_at = e.next_due_at, destination = e.destination,
           possible_duplicate = e.again_duplicate
    FROM ended e
    WHERE e.next_due_at IS NOT NULL AND d.message_id = e.message_id AND d.recipient_number = e.recipient_number
      AND d.incarnation = e.incarnation AND d.claims = e.claims
    RETURNING e.number, d.destination, d.tenant_id, d.next_due_at
  ), woken AS (${upsertReady}), ours AS (
    SELECT e.* FROM ended e JOIN (SELECT number FROM final UNION ALL SELECT number FROM freed) f USING (number)
  ), noted AS (
    INSERT INTO attempt (message_id, recipient_number, tenant_id, attempt, incarnation, outcome, started_at, finished_at, host, reply_code,
                         enhanced_code, reply, possible_duplicate, late)
    SELECT message_id, recipient_number, tenant_id, attempt, incarnation, outcome, started_at, finished_at, host, reply_code,
           enhanced_code, reply, possible_duplicate, false
    FROM ours
  ), told AS (
    INSERT INTO outbox (id, topic, shard, key, payload, traceparent)
    SELECT event_id, topic, shard, key, substring($24::bytea FROM (payload_end - size + 1)::int FOR size), traceparent FROM ours ORDER BY number
  )
  SELECT number::int AS number FROM ours`;

/**
 * Records many ends, all or nothing of them. A write for a row that another incarnation or claim owns by now changes nothing in the queue and
 * is kept as an attempt with possible_duplicate; the same end once more (the answer to a COMMIT was lost) changes nothing at all.
 */
export async function recordEnds(database: Database, ends: readonly AttemptEnd[]): Promise<Recorded[]> {
  const events = ends.map((end) => end.event);
  const told = outboxRows(ends.map((end) => ({ topic: attemptRecorded, event: end.event, traceparent: end.traceparent })));
  const recorded = await database.pool.query<{ number: number }>({
    name: 'record-ends',
    text: recordOurs,
    values: [
      ...fence(ends),
      ends.map((end) => end.next?.dueAt ?? null),
      ends.map((end) => end.next?.destination ?? null),
      ends.map((end) => end.next?.possibleDuplicate ?? null),
      ends.map((end) => end.tenantId),
      events.map((event) => event.attempt),
      events.map((event) => event.outcome),
      events.map((event) => event.startedAt ?? null),
      events.map((event) => event.finishedAt ?? null),
      events.map((event) => event.session?.host ?? ''),
      events.map((event) => event.session?.replyCode ?? 0),
      events.map((event) => event.session?.enhancedCode ?? ''),
      events.map((event) => replyOf(event)),
      events.map((event) => event.possibleDuplicate),
      told.ids,
      told.topics,
      told.shards,
      told.keys,
      told.payloads.map((payload) => payload.byteLength),
      told.traceparents,
      Buffer.concat(told.payloads),
    ],
  });
  if (recorded.rows.length === ends.length) return ends.map(() => 'recorded');
  const ours = new Set(recorded.rows.map((row) => row.number));
  const others = ends.filter((_, index) => !ours.has(index + 1));
  const results = new Map(others.map((end, index) => [end, index]));
  const answers = await recordOthers(database, others);
  return ends.map((end) => answers[results.get(end) ?? -1] ?? 'recorded');
}

/** Ends of rows that aren't ours any more, or that are on record already. */
async function recordOthers(database: Database, ends: readonly AttemptEnd[]): Promise<Recorded[]> {
  return await database.transaction(async (client) => {
    const known = await alreadyRecorded(client, ends);
    const results = ends.map((end): Recorded => (known.has(endKey(end)) ? 'again' : 'late'));
    const written = ends.flatMap((end, index) => {
      if (results[index] === 'again') return [];
      const event = { ...end.event, possibleDuplicate: true };
      return [{ end, event, row: { messageId: end.messageId, tenantId: end.tenantId, incarnation: end.incarnation, late: true, event } }];
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

function replyOf(event: AttemptRecordedEvent): string {
  return event.session?.reply || (event.bounce?.diagnostic ?? '');
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
      rows.map((row) => replyOf(row.event)),
      rows.map((row) => row.event.possibleDuplicate),
      rows.map((row) => row.late),
    ],
  );
}
