// Keys that called operations of the API that will go, and the notices about it that wait.
import type { Database } from '@maildoot/db/database';

export interface DeprecatedCallToStore {
  apiKeyId: string;
  tenantId: string;
  operationId: string;
  operation: string;
  meaning: string;
  docsUrl: string;
}

export interface DeprecationNotice extends DeprecatedCallToStore {
  tries: number;
  keyName: string;
  keyPrefix: string;
  /** Addresses of the tenant's owners who have come, or else of the first: whom a key invited may be a stranger. */
  owners: string[];
}

export type Deprecations = ReturnType<typeof openDeprecations>;

export function openDeprecations({ pool }: Database) {
  return {
    /** What is there already, taken or not, stays as it is. True: something is new. */
    async record(calls: readonly DeprecatedCallToStore[], now: Date): Promise<boolean> {
      const column = (name: keyof DeprecatedCallToStore) => calls.map((call) => call[name]);
      const { rowCount } = await pool.query(
        `INSERT INTO deprecation_notice (api_key_id, operation_id, tenant_id, operation, meaning, docs_url, created_at, due_at)
         SELECT k.id, c.operation_id, k.tenant_id, c.operation, c.meaning, c.docs_url, $7, $7
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
                AS c (api_key_id, tenant_id, operation_id, operation, meaning, docs_url)
           JOIN api_key k ON k.id = c.api_key_id AND k.tenant_id = c.tenant_id
         ON CONFLICT DO NOTHING`,
        [column('apiKeyId'), column('tenantId'), column('operationId'), column('operation'), column('meaning'), column('docsUrl'), now],
      );
      return (rowCount ?? 0) > 0;
    },

    /** Those that are due, which come again after `againAt` unless they are taken by then. */
    async claim(limit: number, now: Date, againAt: Date): Promise<DeprecationNotice[]> {
      const { rows } = await pool.query<DeprecationNotice>(
        `UPDATE deprecation_notice n SET tries = n.tries + 1, due_at = $2
           FROM api_key k
          WHERE k.id = n.api_key_id AND (n.api_key_id, n.operation_id) IN (
            SELECT api_key_id, operation_id FROM deprecation_notice WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING n.api_key_id AS "apiKeyId", n.tenant_id AS "tenantId", n.operation_id AS "operationId", n.operation, n.meaning,
                   n.docs_url AS "docsUrl", n.tries, k.name AS "keyName", k.prefix AS "keyPrefix",
                   ARRAY(SELECT email FROM account_user u WHERE u.tenant_id = n.tenant_id AND u.role = 'owner' AND (
                     u.password_hash IS NOT NULL OR NOT EXISTS (
                       SELECT FROM account_user o WHERE o.tenant_id = u.tenant_id AND o.role = 'owner' AND (o.password_hash IS NOT NULL OR o.id < u.id)))
                    ORDER BY u.id) AS owners`,
        [now, againAt, limit],
      );
      return rows;
    },

    async postpone({ apiKeyId, operationId }: DeprecationNotice, dueAt: Date): Promise<void> {
      await pool.query('UPDATE deprecation_notice SET due_at = $3 WHERE api_key_id = $1 AND operation_id = $2', [
        apiKeyId,
        operationId,
        dueAt,
      ]);
    },

    async taken({ apiKeyId, operationId }: DeprecationNotice): Promise<void> {
      await pool.query('UPDATE deprecation_notice SET due_at = NULL WHERE api_key_id = $1 AND operation_id = $2', [apiKeyId, operationId]);
    },
  };
}
