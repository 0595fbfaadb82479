// Who may send: one row per running pod, alive while its heartbeat is younger than ten seconds by PostgreSQL's clock. Also what happens
// to the rows of one that is not: they are freed, each with the record that its attempt's end is not known.
import type { Database } from '@maildoot/db/database';
import { appendOutbox } from '@maildoot/events/outbox';
import { knownDead, thisProcess } from '@maildoot/events/process-identity';
import { attemptRecorded } from '@maildoot/events/topics';
import { AttemptRecordedEvent, BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Peer, Said } from '../shares.ts';
import { type AttemptRow, insertAttempts } from './attempt.ts';
import { type DueRow, dueRow, type RawDueRow, upsertReady } from './due.ts';

export async function registerIncarnation(database: Database, id: string): Promise<void> {
  const { machine, pid } = thisProcess();
  await database.pool.query('INSERT INTO incarnation (id, machine, pid) VALUES ($1, $2, $3)', [id, machine, pid]);
}

/** Gives up at once those whose process is seen to be gone; the others have their ten seconds. */
export async function giveUpKnownDead(database: Database, own: string | undefined): Promise<void> {
  const result = await database.pool.query<{ id: string; machine: string; pid: number }>(
    "SELECT id, machine, pid FROM incarnation WHERE heartbeat_at > '-infinity'",
  );
  // What this process was before is as silent as any other that was declared dead.
  const dead = result.rows.filter((row) => row.id !== own && row.pid !== process.pid && knownDead(row.id, row)).map((row) => row.id);
  if (dead.length > 0) await database.pool.query("UPDATE incarnation SET heartbeat_at = '-infinity' WHERE id = ANY ($1::uuid[])", [dead]);
}

/**
 * Says that this incarnation lives, whom it has given room to and where it still has more sessions than its share. Answers who else lives, with
 * what they said last; undefined when others declared this one dead: its row is gone, or some of what it held is freed and the rest will be.
 */
export async function heartbeat(database: Database, id: string, said: Said): Promise<Peer[] | undefined> {
  const result = await database.pool.query<{ id: string | null; applied: string[]; over: Record<string, number> }>(
    `WITH beaten AS (
       UPDATE incarnation SET heartbeat_at = now(), applied = $2, over = $3 WHERE id = $1 AND heartbeat_at > '-infinity' RETURNING 1
     )
     SELECT i.id, i.applied, i.over FROM beaten LEFT JOIN incarnation i ON i.id <> $1 AND i.heartbeat_at > now() - interval '10 seconds'`,
    [id, said.applied, JSON.stringify(said.over)],
  );
  if (result.rows.length === 0) return undefined;
  return result.rows.flatMap((row) => (row.id === null ? [] : [{ id: row.id, applied: row.applied, over: row.over }]));
}

/** At a clean stop: what is still held (a session that was cut off) is freed by the next one that looks, without the ten seconds. */
export async function retire(database: Database, id: string): Promise<void> {
  const gone = await database.pool.query(
    'DELETE FROM incarnation i WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM due WHERE incarnation = i.id)',
    [id],
  );
  if (gone.rowCount === 0) await database.pool.query("UPDATE incarnation SET heartbeat_at = '-infinity' WHERE id = $1", [id]);
}

const rowsPerRelease = 500;

/**
 * Frees up to 500 rows of dead incarnations. Each gets its attempt row and OUTCOME_INTERRUPTED event in the same transaction, is due at
 * once, and is marked: its recipient may get the message twice. `bySilence`: ten seconds without a heartbeat are death; otherwise only what
 * is known to be dead is. Answers what was freed.
 */
export async function releaseExpired(database: Database, now: Date, bySilence = true): Promise<DueRow[]> {
  return await database.transaction(async (client) => {
    // A heartbeat under way holds the row: then it is alive. A claim under way holds it too: next time.
    const dead = await client.query<{ id: string }>(
      `SELECT id FROM incarnation WHERE heartbeat_at <= CASE WHEN $1 THEN now() - interval '10 seconds' ELSE '-infinity' END
       ORDER BY id FOR UPDATE SKIP LOCKED`,
      [bySilence],
    );
    if (dead.rows.length === 0) return [];
    const ids = dead.rows.map((row) => row.id);
    const released = await client.query<RawDueRow>(
      `SELECT * FROM due WHERE incarnation = ANY ($1::uuid[]) ORDER BY message_id, recipient_number LIMIT ${rowsPerRelease} FOR UPDATE`,
      [ids],
    );
    const rows = released.rows.map(dueRow);
    if (rows.length > 0) {
      await client.query(
        `WITH freed AS (
           UPDATE due d SET incarnation = NULL, claimed_at = NULL, possible_duplicate = true, next_due_at = $3
           FROM unnest($1::uuid[], $2::int[]) AS r(message_id, recipient_number)
           WHERE d.message_id = r.message_id AND d.recipient_number = r.recipient_number
           RETURNING d.destination, d.tenant_id, d.next_due_at
         )${upsertReady}`,
        [rows.map((row) => row.messageId), rows.map((row) => row.recipientNumber), now],
      );
      const ends = rows.map((row) => ({ row, event: interrupted(row, now) }));
      await insertAttempts(client, ends.map(attemptRow));
      await appendOutbox(
        client,
        ends.map(({ row, event }) => ({
          topic: attemptRecorded,
          event,
          ...(row.traceparent !== undefined && { traceparent: row.traceparent }),
        })),
      );
    }
    // Dead for good from the first freed row on: a heartbeat that came after this batch must not bring it back to life.
    if (rows.length < rowsPerRelease) await client.query('DELETE FROM incarnation WHERE id = ANY ($1::uuid[])', [ids]);
    else await client.query("UPDATE incarnation SET heartbeat_at = '-infinity' WHERE id = ANY ($1::uuid[])", [ids]);
    return rows;
  });
}

function interrupted(row: DueRow, now: Date): AttemptRecordedEvent {
  return AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', row.messageId),
    tenantId: uuidToId('ten', row.tenantId),
    recipientNumber: row.recipientNumber,
    recipient: row.address,
    attempt: row.attempt,
    outcome: Outcome.OUTCOME_INTERRUPTED,
    queuedAt: row.queuedAt,
    startedAt: row.claimedAt,
    finishedAt: now,
    nextAttemptAt: now,
    bounce: {
      type: BounceType.BOUNCE_TYPE_UNDETERMINED,
      class: BounceClass.BOUNCE_CLASS_INFRASTRUCTURE,
      diagnostic: 'x-maildoot; the sending process died while this attempt was under way',
    },
    possibleDuplicate: true,
  });
}

function attemptRow({ row, event }: { row: DueRow; event: AttemptRecordedEvent }): AttemptRow {
  return { messageId: row.messageId, tenantId: row.tenantId, incarnation: row.incarnation, late: false, event };
}
