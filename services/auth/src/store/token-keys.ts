// The keys that access tokens are signed with. Private halves rest sealed.
import type { Database } from '@maildoot/db/database';
import { revocationsChannel } from '../revocations.ts';

export interface StoredTokenKey {
  kid: string;
  sealedPrivate: Buffer;
  n: string;
  e: string;
  createdAt: Date;
  retiredAt: Date | null;
}

export type TokenKeyStore = ReturnType<typeof openTokenKeys>;

export function openTokenKeys(database: Database) {
  return {
    /** Newest first. */
    async all(): Promise<StoredTokenKey[]> {
      const { rows } = await database.pool.query<StoredTokenKey>(
        'SELECT kid, sealed_private AS "sealedPrivate", n, e, created_at AS "createdAt", retired_at AS "retiredAt" FROM token_key ORDER BY created_at DESC, kid',
      );
      return rows;
    },

    /**
     * The new key takes over, unless another process has put one in place of `instead` meanwhile. With `compromised` the others are gone, and
     * every gateway forgets what it believed.
     */
    async insert(key: Omit<StoredTokenKey, 'retiredAt'>, instead: string | undefined, compromised: boolean): Promise<void> {
      await database.transaction(async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtextextended('auth token keys', 0))");
        const { rows } = await client.query<{ kid: string }>('SELECT kid FROM token_key WHERE retired_at IS NULL');
        if (rows.some(({ kid }) => kid !== instead)) return;
        if (compromised) await client.query('DELETE FROM token_key');
        else await client.query('UPDATE token_key SET retired_at = $1 WHERE retired_at IS NULL', [key.createdAt]);
        await client.query('INSERT INTO token_key (kid, sealed_private, n, e, created_at) VALUES ($1, $2, $3, $4, $5)', [
          key.kid,
          key.sealedPrivate,
          key.n,
          key.e,
          key.createdAt,
        ]);
        if (compromised) await client.query("SELECT pg_notify($1, '*')", [revocationsChannel]);
      });
    },

    async forget(retiredBefore: Date): Promise<void> {
      await database.pool.query('DELETE FROM token_key WHERE retired_at <= $1', [retiredBefore]);
    },
  };
}
