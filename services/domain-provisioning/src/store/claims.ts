// Claims to names: what can be claimed, by whom, and how many; and their end.
import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import { claim, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type { Repeated } from '@maildoot/db/repeatable';
import type pg from 'pg';
import type { SelectorKey } from '../records.ts';
import type { RecordState } from '../verification.ts';
import { writeRecords } from './stored-domain.ts';

export interface DomainToStore {
  id: string;
  tenantId: string;
  name: string;
  ownershipToken: string;
  createdAt: Date;
  nextCheckAt: Date;
  keys: (SelectorKey & { sealedPrivateKey: Buffer })[];
  records: RecordState[];
}

/** What came of a claim. `exists`: the tenant's own, or verified for another; `too_many`: the tenant has as many as it can have. */
type Claimed = 'done' | 'exists' | 'too_many';
/** The same for a request that may arrive twice. */
export type ClaimedOnce = { outcome: 'done' } | { outcome: 'exists' } | { outcome: 'too_many' } | Repeated;

export function openClaims(database: Database) {
  return {
    /** What would come of a claim now. Asks about all tenants: `exists` is the tenant's own, and a name that another has verified. */
    claimable: (tenantId: string, name: string, maxDomains: number): Promise<Claimed> =>
      claimable(database.pool, tenantId, name, maxDomains),

    async insertDomain(domain: DomainToStore, maxDomains: number): Promise<Claimed> {
      return existsOr(() => database.transaction((client) => insertDomain(client, domain, maxDomains)));
    },

    /** The claim and the answer in one transaction, unless the request was answered before. */
    async insertDomainOnce(
      domain: DomainToStore,
      maxDomains: number,
      request: IdempotencyRequest & { response: Uint8Array },
      now: Date,
    ): Promise<ClaimedOnce> {
      const work = async (client: pg.PoolClient): Promise<ClaimedOnce> => {
        const [claimed] = await claim(client, [request], now);
        if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        const outcome = await insertDomain(client, domain, maxDomains);
        if (outcome === 'done') await storeRecord(client, [request], now);
        return { outcome };
      };
      const result = await existsOr(() => database.transaction(work));
      return typeof result === 'string' ? { outcome: result } : result;
    },

    /** False when the tenant has no such domain. */
    async deleteDomain(tenantId: string, name: string): Promise<boolean> {
      // Keys and what was seen go with it; what is still to be told of it is told.
      const { rowCount } = await database.pool.query('DELETE FROM domain WHERE tenant_id = $1 AND name = $2', [tenantId, name]);
      return rowCount === 1;
    },
  };
}

/** The tenant's own second claim, made at the same moment, fails at the index. */
async function existsOr<T>(work: () => Promise<T>): Promise<T | 'exists'> {
  try {
    return await work();
  } catch (error) {
    if (isUniqueViolation(error, 'domain_tenant_id_name_key')) return 'exists';
    throw error;
  }
}

async function claimable(
  on: Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>,
  tenantId: string,
  name: string,
  maxDomains: number,
): Promise<Claimed> {
  const { rows } = await on.query<{ exists: boolean; count: number }>(
    `SELECT EXISTS (SELECT 1 FROM domain WHERE name = $1 AND (tenant_id = $2 OR status = 'verified')) AS exists,
            (SELECT count(*)::int FROM domain WHERE tenant_id = $2) AS count`,
    [name, tenantId],
  );
  if (rows[0]?.exists) return 'exists';
  return (rows[0]?.count ?? 0) >= maxDomains ? 'too_many' : 'done';
}

async function insertDomain(client: pg.PoolClient, domain: DomainToStore, maxDomains: number): Promise<Claimed> {
  // One after another for a tenant, so that two at the same moment don't both find room.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('domains ' || $1, 0))", [domain.tenantId]);
  const found = await claimable(client, domain.tenantId, domain.name, maxDomains);
  if (found !== 'done') return found;
  await client.query(
    "INSERT INTO domain (id, tenant_id, name, status, ownership_token, created_at, next_check_at) VALUES ($1, $2, $3, 'pending', $4, $5, $6)",
    [domain.id, domain.tenantId, domain.name, domain.ownershipToken, domain.createdAt, domain.nextCheckAt],
  );
  for (const key of domain.keys) {
    await client.query(
      'INSERT INTO dkim_key (tenant_id, domain_id, selector, active, public_key, sealed_private_key) VALUES ($1, $2, $3, $4, $5, $6)',
      [domain.tenantId, domain.id, key.selector, key.active, key.publicKey, key.sealedPrivateKey],
    );
  }
  await writeRecords(client, domain.tenantId, domain.id, domain.records);
  return 'done';
}
