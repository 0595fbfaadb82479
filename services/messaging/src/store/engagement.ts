// What recipients did, at the rows it is about. Every writer holds the message's lock, so counting what is there and adding one is safe.
import { smallintArray, textArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';

/** How many events there are of a type about a recipient, and when its server took the message. */
export interface EngagementState {
  messageId: string;
  number: number;
  type: string;
  email: string;
  flags: number;
  /** The highest number of such an event; 0 = none. */
  last: number;
  deliveredAt: Date | null;
}

/** The recipients named that exist, each with the type of event it is asked for. Their messages are locked. */
export async function readEngagements(
  client: pg.ClientBase,
  asked: readonly { messageId: string; number: number; type: string }[],
): Promise<EngagementState[]> {
  if (asked.length === 0) return [];
  const ids = asked.map((one) => one.messageId).sort();
  const { rows } = await client.query<{
    message_id: string;
    number: number;
    type: string;
    email: string;
    flags: number;
    last: number | null;
    delivered_at: Date | null;
  }>(
    `SELECT r.message_id, r.number, asked.type, r.email, r.flags,
            (SELECT max(e.attempt) FROM message_event e
             WHERE e.message_id = r.message_id AND e.recipient_number = r.number AND e.type = asked.type) AS last,
            (SELECT max(e.at) FROM message_event e
             WHERE e.message_id = r.message_id AND e.recipient_number = r.number AND e.type = 'message.delivered') AS delivered_at
     FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS asked (message_id, number, type)
     JOIN recipient r ON r.message_id = asked.message_id AND r.number = asked.number
     WHERE r.message_id BETWEEN $4::uuid AND $5::uuid`,
    [
      uuidArray(asked.map((one) => one.messageId)),
      smallintArray(asked.map((one) => one.number)),
      textArray(asked.map((one) => one.type)),
      ids[0],
      ids.at(-1),
    ],
  );
  return rows.map((row) => ({
    messageId: row.message_id,
    number: row.number,
    type: row.type,
    email: row.email,
    flags: row.flags,
    last: row.last ?? 0,
    deliveredAt: row.delivered_at,
  }));
}

/** Adds flags to recipients. Their messages are locked. */
export async function addFlags(
  client: pg.ClientBase,
  changes: readonly { messageId: string; number: number; flags: number }[],
): Promise<void> {
  if (changes.length === 0) return;
  const ids = changes.map((one) => one.messageId).sort();
  await client.query(
    `UPDATE recipient r SET flags = r.flags | changed.flags
     FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) AS changed (message_id, number, flags)
     WHERE r.message_id = changed.message_id AND r.number = changed.number AND r.message_id BETWEEN $4::uuid AND $5::uuid`,
    [
      uuidArray(changes.map((one) => one.messageId)),
      smallintArray(changes.map((one) => one.number)),
      smallintArray(changes.map((one) => one.flags)),
      ids[0],
      ids.at(-1),
    ],
  );
}

/** What an unsubscribe link is about; undefined where the message is gone. Of any tenant: the link itself is the right to know. */
export async function readUnsubscription(
  pool: pg.Pool,
  messageId: string,
  number: number,
): Promise<{ tenantId: string; email: string; fromEmail: string; stream: string } | undefined> {
  const { rows } = await pool.query<{ tenant_id: string; email: string; from_email: string; stream: string }>(
    `SELECT m.tenant_id, r.email, m.from_email, coalesce(m.unsubscribe_group, m.stream) AS stream
     FROM message m JOIN recipient r ON r.message_id = m.id AND r.number = $2 WHERE m.id = $1 AND r.message_id = $1`,
    [messageId, number],
  );
  const row = rows[0];
  return row && { tenantId: row.tenant_id, email: row.email, fromEmail: row.from_email, stream: row.stream };
}
