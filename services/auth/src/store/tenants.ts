// Tenants, as the operator sees them.
import type { Database } from '@maildoot/db/database';
import { revocationsChannel } from '../revocations.ts';
import { type EntryToStore, insertEntries } from './audit.ts';

export interface StoredTenant {
  id: string;
  name: string;
  createdAt: Date;
  suspendedAt: Date | null;
  suspensionReason: string | null;
  messagesPerDay: string | null;
  requestsPerMinute: number | null;
  sendsPerMinute: number | null;
  ownerEmail: string | null;
}

const columns = `t.id, t.name, t.created_at AS "createdAt", t.suspended_at AS "suspendedAt", t.suspension_reason AS "suspensionReason",
  t.messages_per_day AS "messagesPerDay", t.requests_per_minute AS "requestsPerMinute", t.sends_per_minute AS "sendsPerMinute",
  (SELECT email FROM account_user u WHERE u.tenant_id = t.id AND u.role = 'owner' ORDER BY u.id LIMIT 1) AS "ownerEmail"`;

export type Tenants = ReturnType<typeof openTenants>;

export function openTenants(database: Database) {
  async function change(id: string, set: string, values: unknown[], entry: EntryToStore, told: boolean): Promise<StoredTenant | undefined> {
    return database.transaction(async (client) => {
      const { rows } = await client.query<StoredTenant>(`UPDATE tenant t SET ${set} WHERE id = $1 RETURNING ${columns}`, [id, ...values]);
      const [tenant] = rows;
      if (tenant === undefined) return undefined;
      await insertEntries(client, [entry]);
      // Of all its credentials something else is true now, so everybody forgets everything: it happens seldom.
      if (told) await client.query("SELECT pg_notify($1, '*')", [revocationsChannel]);
      return tenant;
    });
  }
  return {
    async list(page: { limit: number; afterId: string | undefined }): Promise<StoredTenant[]> {
      const { rows } = await database.pool.query<StoredTenant>(
        `SELECT ${columns} FROM tenant t WHERE ($1::uuid IS NULL OR t.id < $1) ORDER BY t.id DESC LIMIT $2`,
        [page.afterId ?? null, page.limit],
      );
      return rows;
    },
    /** The ids of all that are suspended. */
    async suspended(): Promise<string[]> {
      const { rows } = await database.pool.query<{ id: string }>({
        name: 'suspended-tenants',
        text: 'SELECT id FROM tenant WHERE suspended_at IS NOT NULL',
      });
      return rows.map(({ id }) => id);
    },
    suspend: (id: string, reason: string, at: Date, entry: EntryToStore) =>
      change(id, 'suspended_at = coalesce(suspended_at, $2), suspension_reason = $3', [at, reason], entry, true),
    release: (id: string, entry: EntryToStore) => change(id, 'suspended_at = NULL, suspension_reason = NULL', [], entry, true),
    setQuotas: (id: string, perDay: bigint | null, requests: number | null, sends: number | null, entry: EntryToStore) =>
      change(id, 'messages_per_day = $2, requests_per_minute = $3, sends_per_minute = $4', [perDay, requests, sends], entry, false),
  };
}
