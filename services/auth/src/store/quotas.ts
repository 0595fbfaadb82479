// Ledgers: how much of a window is taken, by all gateways together.
import type { Database } from '@maildoot/db/database';

export interface TenantLimits {
  messagesPerDay: bigint | null;
  requestsPerMinute: number | null;
  sendsPerMinute: number | null;
}

interface LedgerTake {
  ledger: number;
  /** uuid of the tenant or the credential. */
  subject: string;
  windowStart: Date;
  limit: bigint;
  needed: number;
  wanted: number;
  returned: number;
}

/** What is left is handed out in such parts, so that one gateway doesn't take it all from the others. */
const shareOfRest = 20;

export type QuotaStore = ReturnType<typeof openQuotas>;

export function openQuotas({ pool }: Database) {
  return {
    /** Undefined: there is no such tenant. */
    async limits(tenantId: string): Promise<TenantLimits | undefined> {
      const { rows } = await pool.query<{ messagesPerDay: string | null; requestsPerMinute: number | null; sendsPerMinute: number | null }>(
        {
          name: 'tenant_limits',
          text: `SELECT messages_per_day AS "messagesPerDay", requests_per_minute AS "requestsPerMinute", sends_per_minute AS "sendsPerMinute"
                 FROM tenant WHERE id = $1`,
          values: [tenantId],
        },
      );
      const [row] = rows;
      return row && { ...row, messagesPerDay: row.messagesPerDay === null ? null : BigInt(row.messagesPerDay) };
    },

    /** All of what is needed and some of what is wanted, or nothing. */
    async take({ ledger, subject, windowStart, limit, needed, wanted, returned }: LedgerTake): Promise<{ granted: number; taken: bigint }> {
      const update = async () =>
        (
          await pool.query<{ granted: string; taken: string }>({
            name: 'take_quota',
            text: `UPDATE quota_ledger l SET taken = now_taken.taken + now_taken.granted
                     FROM (SELECT taken, CASE WHEN $4 - taken < $5 THEN 0
                                              ELSE $5 + least($6, greatest(0, ($4 - taken - $5) / ${shareOfRest})) END AS granted
                             FROM (SELECT greatest(0, taken - $7::bigint) AS taken FROM quota_ledger
                                    WHERE ledger = $1 AND subject = $2 AND window_start = $3 FOR UPDATE) AS before) AS now_taken
                    WHERE l.ledger = $1 AND l.subject = $2 AND l.window_start = $3
                RETURNING now_taken.granted, l.taken`,
            values: [ledger, subject, windowStart, limit, needed, wanted, returned],
          })
        ).rows[0];
      let row = await update();
      if (row === undefined) {
        await pool.query('INSERT INTO quota_ledger (ledger, subject, window_start, taken) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING', [
          ledger,
          subject,
          windowStart,
        ]);
        row = await update();
      }
      if (row === undefined) throw new Error('a ledger went away while it was written');
      return { granted: Number(row.granted), taken: BigInt(row.taken) };
    },

    async forget(before: Date): Promise<void> {
      await pool.query('DELETE FROM quota_ledger WHERE window_start < $1', [before]);
    },
  };
}
