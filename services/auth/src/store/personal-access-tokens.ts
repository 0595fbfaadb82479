// Personal access tokens: one per person at a time, found by its hash, shown from where it rests sealed.
import type { Database } from '@maildoot/db/database';
import { claim, store as storeRecord } from '@maildoot/db/idempotency';
import type pg from 'pg';
import { revocationsChannel } from '../revocations.ts';
import type { Once } from '../store.ts';
import { type EntryToStore, insertEntries } from './audit.ts';
import type { Answered } from './smtp-users.ts';

interface TokenHolder {
  tenantId: string;
  userId: string;
  /** null = the user was removed. */
  role: string | null;
  suspended: boolean;
  revokedAt: Date | null;
}

export type PersonalAccessTokens = ReturnType<typeof openPersonalAccessTokens>;

type Client = Pick<pg.PoolClient, 'query'>;

const batchSize = 1000;

export function openPersonalAccessTokens(database: Database) {
  const { pool } = database;
  return {
    /** Without a tenant: whose the token is, is the question. */
    async holder(sha256: Uint8Array): Promise<TokenHolder | undefined> {
      const { rows } = await pool.query<TokenHolder>({
        name: 'holder_of_personal_access_token',
        text: `SELECT p.tenant_id AS "tenantId", p.user_id AS "userId", u.role, t.suspended_at IS NOT NULL AS suspended,
                      p.revoked_at AS "revokedAt"
                 FROM personal_access_token p JOIN tenant t ON t.id = p.tenant_id LEFT JOIN account_user u ON u.id = p.user_id
                WHERE p.sha256 = $1`,
        values: [sha256],
      });
      return rows[0];
    },

    /** The one there is. It is given out with its entry in the log, or not at all. */
    read(tenantId: string, userId: string, entry: EntryToStore): Promise<{ sealedValue: Buffer; createdAt: Date } | undefined> {
      return database.transaction(async (client) => {
        const { rows } = await client.query<{ sealedValue: Buffer; createdAt: Date }>(
          `SELECT sealed_value AS "sealedValue", created_at AS "createdAt" FROM personal_access_token
            WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL`,
          [tenantId, userId],
        );
        if (rows[0] !== undefined) await insertEntries(client, [entry]);
        return rows[0];
      });
    },

    /** Another one in place of the one there is. With a request, that it was answered is kept in the same transaction. */
    replace(
      token: { tenantId: string; userId: string; sha256: Buffer; sealedValue: Buffer; createdAt: Date },
      entry: EntryToStore,
      request: Answered | undefined,
    ): Promise<Once | { outcome: 'missing' }> {
      const { tenantId, userId, sha256, sealedValue, createdAt } = token;
      return database.transaction(async (client): Promise<Once | { outcome: 'missing' }> => {
        if (request !== undefined) {
          const [claimed] = await claim(client, [request], request.now);
          if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        }
        // Two who replace it, and who removes the user, come one after the other. The tenant's row first, like whoever removes: the new row needs it,
        // and two who hold what the other waits for would end one of them.
        await client.query('SELECT FROM tenant WHERE id = $1 FOR KEY SHARE', [tenantId]);
        const { rowCount } = await client.query('SELECT FROM account_user WHERE tenant_id = $1 AND id = $2 FOR UPDATE', [tenantId, userId]);
        if (rowCount !== 1) return { outcome: 'missing' };
        await revokeTokenOf(client, tenantId, userId, createdAt);
        await client.query(
          'INSERT INTO personal_access_token (sha256, tenant_id, user_id, sealed_value, created_at) VALUES ($1, $2, $3, $4, $5)',
          [sha256, tenantId, userId, sealedValue, createdAt],
        );
        await insertEntries(client, [entry]);
        if (request !== undefined) await storeRecord(client, [request], request.now);
        return { outcome: 'done' };
      });
    },

    /** In batches, so that no transaction is long. */
    async forget(revokedBefore: Date): Promise<void> {
      for (;;) {
        const { rowCount } = await pool.query(
          `DELETE FROM personal_access_token WHERE sha256 = ANY (ARRAY(
             SELECT sha256 FROM personal_access_token WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
          [revokedBefore, batchSize],
        );
        if ((rowCount ?? 0) < batchSize) return;
      }
    },
  };
}

/** Under the lock of the user's row. In the same transaction everybody who listens is told the hash; what it was is nowhere any more. */
export async function revokeTokenOf(client: Client, tenantId: string, userId: string, at: Date): Promise<void> {
  await client.query(
    `WITH revoked AS (
       UPDATE personal_access_token SET revoked_at = $3, sealed_value = ''
        WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING sha256)
     SELECT pg_notify($4, encode(sha256, 'base64')) FROM revoked`,
    [tenantId, userId, at, revocationsChannel],
  );
}
