// A message's other time, at the message and at the recipients that wait for it.
import { smallintArray } from '@maildoot/db/parameters';
import type pg from 'pg';

/** How many times a message was rescheduled, and one more. The message is locked. */
export async function nextRescheduling(client: pg.ClientBase, messageId: string): Promise<number> {
  const { rows } = await client.query<{ next: number }>(
    `SELECT coalesce(max(attempt), 0) + 1 AS next FROM message_event
     WHERE message_id = $1 AND recipient_number = -1 AND type = 'message.scheduled'`,
    [messageId],
  );
  return rows[0]!.next;
}

/** The message is locked. */
export async function setSendAt(
  client: pg.ClientBase,
  messageId: string,
  sendAt: Date,
  status: number,
  numbers: readonly number[],
): Promise<void> {
  await client.query('UPDATE message SET send_at = $2 WHERE id = $1', [messageId, sendAt]);
  await client.query('UPDATE recipient SET status = $2 WHERE message_id = $1 AND number = ANY ($3::smallint[])', [
    messageId,
    status,
    smallintArray(numbers),
  ]);
}
