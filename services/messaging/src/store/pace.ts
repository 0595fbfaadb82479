// How far each tenant has used up its pace: one row per tenant, shared by all processes, touched only where a pace is set.
import type { Database } from '@maildoot/db/database';

/**
 * Uses so many microseconds of a tenant's time, from now or from where it had come to, unless that leads further ahead than it may and begins
 * further ahead than what goes at once. Answers where it begins; undefined: nothing was used.
 */
export async function usePace(
  database: Database,
  tenantId: string,
  microseconds: number,
  now: Date,
  ahead: { mayMs: number; atOnceMs: number },
): Promise<Date | undefined> {
  const { rows } = await database.pool.query<{ from: Date }>({
    name: 'use-pace',
    text: `INSERT INTO pace (tenant_id, used_until) VALUES ($1, $2::timestamptz + $3 * interval '1 microsecond')
      ON CONFLICT (tenant_id) DO UPDATE SET used_until = GREATEST(pace.used_until, $2::timestamptz) + $3 * interval '1 microsecond'
      WHERE pace.used_until + $3 * interval '1 microsecond' <= $2::timestamptz + $4 * interval '1 millisecond'
         OR pace.used_until <= $2::timestamptz + $5 * interval '1 millisecond'
      RETURNING used_until - $3 * interval '1 microsecond' AS from`,
    values: [tenantId, now, microseconds, ahead.mayMs, ahead.atOnceMs],
  });
  return rows[0]?.from;
}

/** Gives back what was used for messages that were not accepted. */
export async function unusePace(database: Database, tenantId: string, microseconds: number): Promise<void> {
  await database.pool.query(`UPDATE pace SET used_until = used_until - $2 * interval '1 microsecond' WHERE tenant_id = $1`, [
    tenantId,
    microseconds,
  ]);
}
