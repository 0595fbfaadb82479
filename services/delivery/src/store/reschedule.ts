// Moving what was never tried to another time. A claim under way holds its rows: this waits for it, sees them claimed and leaves them.
import type { Database } from '@maildoot/db/database';
import { upsertReady } from './due.ts';

export interface Rescheduled {
  rescheduled: number[];
  tooLate: number[];
  /** Not enqueued yet. */
  notYet: number[];
}

export async function rescheduleRecipients(
  database: Database,
  tenantId: string,
  messageId: string,
  numbers: readonly number[],
  sendAt: Date,
): Promise<Rescheduled> {
  return await database.transaction(async (client) => {
    // Before the rows are looked for: an enqueue that commits in between is seen by the second statement, and else told as not there yet.
    const known = await client.query<{ recipient_number: number }>(
      'SELECT recipient_number FROM ledger WHERE message_id = $1 AND tenant_id = $2 AND recipient_number = ANY ($3::int[])',
      [messageId, tenantId, numbers],
    );
    const moved = await client.query<{ recipient_number: number }>(
      `WITH freed AS (
         UPDATE due SET next_due_at = $4
         WHERE message_id = $1 AND tenant_id = $2 AND recipient_number = ANY ($3::int[]) AND incarnation IS NULL AND attempt = 0
         RETURNING recipient_number, destination, tenant_id, next_due_at
       ), woken AS (${upsertReady})
       SELECT recipient_number FROM freed`,
      [messageId, tenantId, numbers, sendAt],
    );
    const enqueued = new Set(known.rows.map((row) => row.recipient_number));
    const rescheduled = new Set(moved.rows.map((row) => row.recipient_number));
    return {
      rescheduled: numbers.filter((number) => rescheduled.has(number)),
      tooLate: numbers.filter((number) => enqueued.has(number) && !rescheduled.has(number)),
      notYet: numbers.filter((number) => !enqueued.has(number) && !rescheduled.has(number)),
    };
  });
}
