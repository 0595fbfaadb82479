// Tenants whose mail waits, as auth said last. Kept, so that a delivery that starts while auth can't be asked lets nobody out.
import type { Database } from '@maildoot/db/database';
import { appendOutbox } from '@maildoot/events/outbox';
import { attemptRecorded } from '@maildoot/events/topics';
import { AttemptRecordedEvent, BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { uuidToId } from '@maildoot/runtime/ids';
import { insertAttempts } from './attempt.ts';
import { claimable, type ReadyPair, settlePairs, unresolved } from './due.ts';

/** These and no others. Answers whether somebody was released; written is only what differs. */
export async function replaceSuspended(database: Database, tenantIds: readonly string[]): Promise<boolean> {
  const result = await database.pool.query<{ released: boolean }>(
    `WITH said AS (SELECT DISTINCT unnest($1::uuid[]) AS tenant_id), released AS (
       DELETE FROM suspended_tenant s WHERE NOT EXISTS (SELECT FROM said WHERE said.tenant_id = s.tenant_id) RETURNING 1
     ), suspended AS (
       INSERT INTO suspended_tenant (tenant_id) SELECT tenant_id FROM said ORDER BY tenant_id ON CONFLICT DO NOTHING
     )
     SELECT EXISTS (SELECT FROM released) AS released`,
    [tenantIds],
  );
  return result.rows[0]?.released ?? false;
}

/**
 * Ends what is due since before `dueBefore` and belongs to a suspended tenant: nobody wants it any more, and addresses that came onto a list
 * are remembered for a limited time. No attempt is made, so the event has no number of one. Answers how much it has changed; there may be
 * more, unless that is nothing.
 */
export async function giveUpSuspended(database: Database, dueBefore: Date, now: Date, limit: number): Promise<number> {
  const pairs = await pairsOfSuspended(database, dueBefore, limit);
  if (pairs.length === 0) return 0;
  const ended = await endRows(database, pairs, dueBefore, now, limit);
  // Claims do that for everybody else: what is emptied would be looked at for ever.
  return ended + (await settlePairs(database, pairs));
}

// Each of the two conditions has its index.
async function pairsOfSuspended({ pool }: Database, dueBefore: Date, limit: number): Promise<ReadyPair[]> {
  const { rows } = await pool.query<{ destination: string; tenant_id: string }>(
    `SELECT r.destination, s.tenant_id FROM suspended_tenant s CROSS JOIN LATERAL (
       SELECT destination FROM ready WHERE ${claimable} AND tenant_id = s.tenant_id AND next_due_at < $1
       UNION ALL
       SELECT destination FROM ready WHERE ${unresolved} AND tenant_id = s.tenant_id AND next_due_at < $1
     ) r LIMIT $2`,
    [dueBefore, limit],
  );
  return rows.map((row) => ({ destination: row.destination, tenantId: row.tenant_id }));
}

async function endRows(database: Database, pairs: readonly ReadyPair[], dueBefore: Date, now: Date, limit: number): Promise<number> {
  return await database.transaction(async (client) => {
    const { rows } = await client.query<{
      message_id: string;
      recipient_number: number;
      tenant_id: string;
      address: string;
      queued_at: Date;
      possible_duplicate: boolean;
      traceparent: string | null;
    }>(
      `WITH pick AS (
         SELECT d.message_id, d.recipient_number
         FROM unnest($3::text[], $4::uuid[]) AS p(destination, tenant_id)
         JOIN suspended_tenant s ON s.tenant_id = p.tenant_id
         CROSS JOIN LATERAL (
           SELECT message_id, recipient_number FROM due
           WHERE due.destination = p.destination AND due.tenant_id = p.tenant_id AND incarnation IS NULL AND next_due_at < $1
           ORDER BY next_due_at, message_id, recipient_number LIMIT $2 FOR UPDATE SKIP LOCKED
         ) d
         LIMIT $2
       )
       DELETE FROM due USING pick WHERE due.message_id = pick.message_id AND due.recipient_number = pick.recipient_number
       RETURNING due.message_id, due.recipient_number, due.tenant_id, due.address, due.queued_at, due.possible_duplicate, due.traceparent`,
      [dueBefore, limit, pairs.map((pair) => pair.destination), pairs.map((pair) => pair.tenantId)],
    );
    const ended = rows.map((row) => ({
      messageId: row.message_id,
      tenantId: row.tenant_id,
      incarnation: undefined,
      late: false,
      traceparent: row.traceparent ?? undefined,
      event: AttemptRecordedEvent.fromPartial({
        messageId: uuidToId('msg', row.message_id),
        tenantId: uuidToId('ten', row.tenant_id),
        recipientNumber: row.recipient_number,
        recipient: row.address,
        outcome: Outcome.OUTCOME_FAILED,
        queuedAt: row.queued_at,
        finishedAt: now,
        possibleDuplicate: row.possible_duplicate,
        bounce: {
          type: BounceType.BOUNCE_TYPE_TRANSIENT,
          class: BounceClass.BOUNCE_CLASS_INFRASTRUCTURE,
          diagnostic: 'x-maildoot; the account is suspended, and the message has waited for longer than it would have been tried',
        },
      }),
    }));
    await insertAttempts(client, ended);
    await appendOutbox(
      client,
      ended.map(({ event, traceparent }) => ({ topic: attemptRecorded, event, traceparent })),
    );
    return rows.length;
  });
}
