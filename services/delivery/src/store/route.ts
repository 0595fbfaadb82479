// What DNS said about a domain's destination, so that its next rows are enqueued there right away.
import type { Database } from '@maildoot/db/database';

export async function saveRoutes(
  database: Database,
  routes: readonly { domain: string; destination: string; expiresAt: Date }[],
): Promise<void> {
  if (routes.length === 0) return;
  const sorted = [...new Map(routes.map((route) => [route.domain, route])).values()].sort((a, b) => (a.domain < b.domain ? -1 : 1));
  await database.pool.query(
    `INSERT INTO route (domain, destination, expires_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
     ON CONFLICT (domain) DO UPDATE SET destination = EXCLUDED.destination, expires_at = EXCLUDED.expires_at`,
    [sorted.map((route) => route.domain), sorted.map((route) => route.destination), sorted.map((route) => route.expiresAt)],
  );
}

/** Routes that expired a day ago serve nobody. */
export async function forgetOldRoutes(database: Database, now: Date): Promise<void> {
  await database.pool.query('DELETE FROM route WHERE expires_at < $1', [new Date(now.getTime() - 86_400_000)]);
}
