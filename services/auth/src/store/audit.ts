// The audit log: who did what, in the transaction in which it was done; and what failed, a moment later.
import type { Database } from '@maildoot/db/database';
import { newUuid } from '@maildoot/runtime/ids';
import type pg from 'pg';

/** `<what>.<what happened to it>`; the words of the API. */
export type AuditAction =
  | 'api_key.created'
  | 'api_key.revoked'
  | 'api_key.refused'
  | 'smtp_user.created'
  | 'smtp_user.deleted'
  | 'smtp_user.password_reset'
  | 'session.created'
  | 'session.ended'
  | 'session.reused'
  | 'login.failed'
  | 'password.changed'
  | 'password.change_failed'
  | 'password.reset_requested'
  | 'password.link_created'
  | 'password.set'
  | 'personal_access_token.regenerated'
  | 'personal_access_token.read'
  | 'personal_access_token.refused'
  | 'member.invited'
  | 'member.removed'
  | 'tenant.suspended'
  | 'tenant.released'
  | 'tenant.quotas_set';

export interface EntryToStore {
  tenantId: string;
  action: AuditAction;
  /** `usr_…`, `key_…`, `operator`, or empty. */
  actorId: string;
  /** `key_…`, `usr_…`, `ses_…`, or empty for the tenant itself. */
  subjectId: string;
  address?: string | undefined;
  detail?: string | undefined;
}

export interface StoredEntry {
  id: string;
  action: string;
  actorId: string;
  subjectId: string;
  address: string;
  detail: string;
}

export async function insertEntries(
  on: Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>,
  entries: readonly EntryToStore[],
): Promise<void> {
  if (entries.length === 0) return;
  const column = (of: (entry: EntryToStore) => string): string[] => entries.map(of);
  await on.query(
    `INSERT INTO audit_entry (id, tenant_id, action, actor_id, subject_id, address, detail)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])`,
    [
      column(() => newUuid()),
      column(({ tenantId }) => tenantId),
      column(({ action }) => action),
      column(({ actorId }) => actorId),
      column(({ subjectId }) => subjectId),
      column(({ address }) => address ?? ''),
      column(({ detail }) => detail ?? ''),
    ],
  );
}

/** What another service told, with ids that were made there. One that is there already stays. */
export async function insertActions(
  on: Pick<pg.Pool, 'query'>,
  entries: readonly { id: string; tenantId: string; action: string; actorId: string; subjectId: string; address: string }[],
): Promise<void> {
  await on.query(
    `INSERT INTO audit_entry (id, tenant_id, action, actor_id, subject_id, address, detail)
     SELECT *, '' FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) ON CONFLICT DO NOTHING`,
    [
      entries.map(({ id }) => id),
      entries.map(({ tenantId }) => tenantId),
      entries.map(({ action }) => action),
      entries.map(({ actorId }) => actorId),
      entries.map(({ subjectId }) => subjectId),
      entries.map(({ address }) => address),
    ],
  );
}

/** Newest first. */
export async function listEntries(
  { pool }: Database,
  tenantId: string,
  page: { limit: number; afterId: string | undefined; action: string },
): Promise<StoredEntry[]> {
  const { rows } = await pool.query<StoredEntry>(
    `SELECT id, action, actor_id AS "actorId", subject_id AS "subjectId", address, detail FROM audit_entry
      WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3 = '' OR action = $3) ORDER BY id DESC LIMIT $4`,
    [tenantId, page.afterId ?? null, page.action, page.limit],
  );
  return rows;
}
