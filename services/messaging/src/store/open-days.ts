// Which days still have a recipient that something is to be tried for. Asked about days past their retention only.

import { smallintArray } from '@maildoot/db/parameters';
import { RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { uuidAt } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { isEnd } from '../status.ts';

const dayMs = 86_400_000;
// A status that a newer version made up counts as open.
const ends = Object.values(RecipientStatus).filter(isEnd);

interface Place {
  messageId: string;
  number: number;
}

export interface OpenDays {
  /** Of the day that this daily partition is for, whichever table's it is. */
  hasOpenRecipient(client: pg.ClientBase, partition: string): Promise<boolean>;
}

/**
 * Remembers for each day the first open recipient it has found. All before that one are at their end, which nobody leaves, so the next
 * question is one look by the primary key, and however often it is asked, a day's recipients are read once.
 */
export function createOpenDays(): OpenDays {
  const firstOpen = new Map<number, Place>();
  return {
    async hasOpenRecipient(client, partition) {
      const day = dayOf(partition);
      const from = firstOpen.get(day) ?? { messageId: uuidAt(new Date(day)), number: 0 };
      const { rows } = await client.query<{ message_id: string; number: number }>(
        `SELECT message_id, number FROM recipient
         WHERE (message_id, number) >= ($1::uuid, $2::smallint) AND message_id >= $1::uuid AND message_id < $3::uuid
           AND status <> ALL ($4::smallint[])
         ORDER BY message_id, number LIMIT 1`,
        [from.messageId, from.number, uuidAt(new Date(day + dayMs)), smallintArray(ends)],
      );
      const [found] = rows;
      if (found === undefined) firstOpen.delete(day);
      else firstOpen.set(day, { messageId: found.message_id, number: found.number });
      return found !== undefined;
    },
  };
}

function dayOf(partition: string): number {
  const [, year, month, day] = /_p(\d{4})(\d{2})(\d{2})$/.exec(partition) ?? [];
  const at = Date.parse(`${year}-${month}-${day}T00:00:00Z`);
  if (Number.isNaN(at)) throw new Error(`${partition} is no daily partition`);
  return at;
}
