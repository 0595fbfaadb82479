// Addresses that came onto a tenant's list after mail to them may have been accepted. Whether a message is concerned, messaging says.
import type { Database } from '@maildoot/db/database';

/** Longer than a message can wait: 30 days ahead, and the retries after that. */
const keptDays = 45;

/** Remembers them; one that comes again is as new. */
export async function rememberSuppressed(database: Database, entries: readonly { tenantId: string; address: string }[]): Promise<void> {
  await database.pool.query(
    `INSERT INTO suppressed (tenant_id, address)
     SELECT DISTINCT tenant_id, address FROM unnest($1::uuid[], $2::text[]) AS told(tenant_id, address) ORDER BY tenant_id, address
     ON CONFLICT (tenant_id, address) DO UPDATE SET told_at = now()`,
    [entries.map((one) => one.tenantId), entries.map((one) => one.address)],
  );
}

/** Forgets what no waiting message can be older than. */
export async function forgetOldSuppressed(database: Database): Promise<void> {
  await database.pool.query('DELETE FROM suppressed WHERE told_at < now() - make_interval(days => $1)', [keptDays]);
}
