// Which recipients have bounced by a report. A report may come before the attempt that it is about was recorded.
import { smallintArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';

/** Stands in the place of an attempt's number: a report is of none, and a recipient bounces by one report only. */
export const reportAttempt = 32_767;

/** Those of these recipients that a report of theirs has let bounce, as `<message id> <number>`. Their messages are locked. */
export async function readReported(client: pg.ClientBase, keys: readonly { messageId: string; number: number }[]): Promise<Set<string>> {
  if (keys.length === 0) return new Set();
  const { rows } = await client.query<{ message_id: string; recipient_number: number }>(
    `SELECT e.message_id, e.recipient_number
     FROM unnest($1::uuid[], $2::smallint[]) AS wanted (message_id, number)
     JOIN message_event e ON e.message_id = wanted.message_id AND e.recipient_number = wanted.number
     WHERE e.attempt = $3 AND e.type = 'message.bounced'`,
    [uuidArray(keys.map((key) => key.messageId)), smallintArray(keys.map((key) => key.number)), reportAttempt],
  );
  return new Set(rows.map((row) => `${row.message_id} ${row.recipient_number}`));
}
