// Changes of the key that signs.
import type { Database } from '@maildoot/db/database';
import { claim, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type { Repeated } from '@maildoot/db/repeatable';
import type pg from 'pg';
import { readDomain, type StoredDomain, writeRecords } from './stored-domain.ts';

/** A change of the signing key, as it begins. */
interface RotationToStore {
  from: string;
  to: string;
  requestedAt: Date;
  /** For a selector that has signed before. */
  newKey: { publicKey: string; sealedPrivateKey: Buffer } | undefined;
}

type RotationBegun = { outcome: 'done' | 'unchanged'; domain: StoredDomain } | { outcome: 'missing' } | Repeated;

export function openRotations(database: Database) {
  return {
    /**
     * Begins a change of the signing key, while nobody else decides over the domain: `decide` sees it as it is then, and undefined from it
     * changes nothing. With a request, its answer is kept in the same transaction.
     */
    beginRotation(
      tenantId: string,
      name: string,
      now: Date,
      decide: (domain: StoredDomain) => RotationToStore | undefined,
      request: (IdempotencyRequest & { answerOf: (domain: StoredDomain) => Uint8Array }) | undefined,
    ): Promise<RotationBegun> {
      return database.transaction(async (client): Promise<RotationBegun> => {
        if (request !== undefined) {
          const [claimed] = await claim(client, [request], now);
          if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        }
        const { rows } = await client.query<{ id: string }>('SELECT id FROM domain WHERE tenant_id = $1 AND name = $2 FOR UPDATE', [
          tenantId,
          name,
        ]);
        const [row] = rows;
        if (row === undefined) return { outcome: 'missing' };
        const begun = decide(await readDomain(client, row.id));
        if (begun !== undefined) await writeRotation(client, tenantId, row.id, begun);
        const domain = await readDomain(client, row.id);
        if (request !== undefined) await storeRecord(client, [{ ...request, response: request.answerOf(domain) }], now);
        return { outcome: begun === undefined ? 'unchanged' : 'done', domain };
      });
    },
  };
}

async function writeRotation(client: pg.PoolClient, tenantId: string, domainId: string, begun: RotationToStore): Promise<void> {
  // The look that decides is the next one, and that is due now.
  await client.query(
    `UPDATE domain SET rotation_from = $3, rotation_to = $4, rotation_requested_at = $5, rotation_changed_at = NULL,
                       next_check_at = $5, check_failures = 0, unchanged_looks = 0
      WHERE id = $1 AND tenant_id = $2`,
    [domainId, tenantId, begun.from, begun.to, begun.requestedAt],
  );
  if (begun.newKey === undefined) return;
  await client.query(
    `UPDATE dkim_key SET former_public_key = public_key, public_key = $4, sealed_private_key = $5
      WHERE domain_id = $1 AND tenant_id = $2 AND selector = $3 AND NOT active`,
    [domainId, tenantId, begun.to, begun.newKey.publicKey, begun.newKey.sealedPrivateKey],
  );
  await writeRecords(client, tenantId, domainId, [{ slot: `dkim:${begun.to}`, status: 'pending', seen: [], problem: '' }]);
}
