// Destinations: their back-off (when an operator's hosts can't be reached, its rows wait together instead of each burning an attempt), and
// what waits for each.
import type { Database } from '@maildoot/db/database';

/** Notes a failure to reach any host. The back-off doubles from 5 s and stays below the first retry delay that people expect to see. */
export async function backOff(database: Database, name: string, now: Date): Promise<void> {
  await database.pool.query(
    `INSERT INTO destination AS d (name, failures, back_off_until) VALUES ($1, 1, $2::timestamptz + interval '5 seconds')
     ON CONFLICT (name) DO UPDATE SET
       failures = d.failures + 1,
       back_off_until = $2::timestamptz + LEAST(interval '40 seconds', interval '5 seconds' * power(2, LEAST(d.failures, 3)))`,
    [name, now],
  );
}

/** A session was opened: the back-off ends. */
export async function endBackOff(database: Database, name: string): Promise<void> {
  await database.pool.query('DELETE FROM destination WHERE name = $1', [name]);
}

/** One whose back-off ended long ago and that was not reached since: nothing was sent to it, or by another process. */
export async function forgetOldBackOffs(database: Database, now: Date): Promise<void> {
  await database.pool.query('DELETE FROM destination WHERE back_off_until < $1', [new Date(now.getTime() - 86_400_000)]);
}

/** What waits for one destination. Counts are the database's. */
export interface WaitingDestination {
  name: string;
  due: string;
  later: string;
  underWay: string;
  suspended: string;
  tenants: number;
  oldestDueAt: Date | null;
  backOffUntil: Date | null;
  failures: number | null;
}

/** Those with most recipients first. Back-off is that of destinations that back off now. */
export async function listDestinations(database: Database, now: Date, limit: number): Promise<WaitingDestination[]> {
  const { rows } = await database.pool.query<WaitingDestination>(
    `WITH waiting AS (
       SELECT due.destination, due.tenant_id, s.tenant_id IS NOT NULL AS is_suspended,
              count(*) FILTER (WHERE incarnation IS NULL AND next_due_at <= $1) AS due,
              count(*) FILTER (WHERE incarnation IS NULL AND next_due_at > $1) AS later,
              count(*) FILTER (WHERE incarnation IS NOT NULL) AS under_way,
              min(next_due_at) FILTER (WHERE incarnation IS NULL AND next_due_at <= $1) AS oldest
       FROM due LEFT JOIN suspended_tenant s USING (tenant_id) GROUP BY 1, 2, 3
     )
     SELECT w.destination AS name, sum(w.due)::text AS due, sum(w.later)::text AS later, sum(w.under_way)::text AS "underWay",
            sum(CASE WHEN w.is_suspended THEN w.due + w.later ELSE 0 END)::text AS suspended, count(*)::int AS tenants,
            min(w.oldest) AS "oldestDueAt", max(d.back_off_until) AS "backOffUntil", max(d.failures) AS failures
     FROM waiting w LEFT JOIN destination d ON d.name = w.destination AND d.back_off_until > $1
     GROUP BY w.destination
     ORDER BY sum(w.due + w.later + w.under_way) DESC, w.destination LIMIT $2`,
    [now, limit],
  );
  return rows;
}
