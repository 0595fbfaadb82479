// Key pairs made ahead of time. Whoever takes one deletes it.
import type { Database } from '@maildoot/db/database';

interface SpareKey {
  id: string;
  publicKey: string;
  sealedPrivateKey: Buffer;
}

export function openSpareKeys(database: Database) {
  return {
    /** Takes up to so many out of the table; nobody else gets them. */
    async takeSpares(count: number): Promise<SpareKey[]> {
      const { rows } = await database.pool.query<{ id: string; public_key: string; sealed_private_key: Buffer }>(
        `DELETE FROM spare_dkim_key WHERE id IN (SELECT id FROM spare_dkim_key ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, public_key, sealed_private_key`,
        [count],
      );
      return rows.map((row) => ({ id: row.id, publicKey: row.public_key, sealedPrivateKey: row.sealed_private_key }));
    },

    async countSpares(): Promise<number> {
      const { rows } = await database.pool.query<{ count: number }>('SELECT count(*)::int AS count FROM spare_dkim_key');
      return rows[0]?.count ?? 0;
    },

    /** Keeps a pair unless there are so many already; false when it isn't wanted any more. */
    addSpare(spare: SpareKey, max: number): Promise<boolean> {
      return database.transaction(async (client) => {
        // Pods that count at the same time would each see room; the lock is this table's own number.
        await client.query("SELECT pg_advisory_xact_lock(hashtext('spare_dkim_key'))");
        const { rowCount } = await client.query(
          `INSERT INTO spare_dkim_key (id, public_key, sealed_private_key)
           SELECT $1, $2, $3 WHERE (SELECT count(*) FROM spare_dkim_key) < $4`,
          [spare.id, spare.publicKey, spare.sealedPrivateKey, max],
        );
        return rowCount === 1;
      });
    },
  };
}
