// Everything that domain-provisioning remembers, put together from the parts beside it; here is what is only read. Beside store/, the only
// file that touches the database. Ids are uuids. Every function that is asked on a tenant's behalf filters by the tenant; where tenants meet
// over one name, the comment says so, and nothing of the other leaves this service.

import type { Database } from '@maildoot/db/database';
import { findRecord, type IdempotencyFinding, type IdempotencyRequest } from '@maildoot/db/idempotency';
import { PrismaClient } from '../gen/prisma/client.ts';
import type { Status } from './status.ts';
import { openClaims } from './store/claims.ts';
import { openEvents } from './store/events.ts';
import { openLooks } from './store/looks.ts';
import { openRotations } from './store/rotations.ts';
import { openSpareKeys } from './store/spare-keys.ts';
import { type StoredDomain, stored } from './store/stored-domain.ts';

export type Store = ReturnType<typeof openStore>;

const withParts = {
  dkimKeys: { select: { selector: true, active: true, publicKey: true, formerPublicKey: true } },
  records: { select: { slot: true, status: true, seen: true, problem: true } },
} as const;

export function openStore(database: Database) {
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });
  return {
    ...openClaims(database),
    ...openLooks(database),
    ...openRotations(database),
    ...openEvents(database),
    ...openSpareKeys(database),

    /** Newest first. */
    async listDomains(tenantId: string, { limit, afterId }: { limit: number; afterId: string | undefined }): Promise<StoredDomain[]> {
      const rows = await prisma.domain.findMany({
        where: { tenantId, ...(afterId === undefined ? {} : { id: { lt: afterId } }) },
        orderBy: { id: 'desc' },
        take: limit,
        include: withParts,
      });
      return rows.map(stored);
    },

    async findDomain(tenantId: string, name: string): Promise<StoredDomain | undefined> {
      const row = await prisma.domain.findUnique({ where: { tenantId_name: { tenantId, name } }, include: withParts });
      return row === null ? undefined : stored(row);
    },

    /** Which of the records at hosts below a verified domain are verified themselves. */
    async verifiedHosts(tenantId: string, name: string): Promise<{ returnPath: boolean; tracking: boolean }> {
      const { rows } = await database.pool.query<{ slot: string }>(
        `SELECT record.slot FROM domain JOIN domain_record AS record ON record.domain_id = domain.id AND record.tenant_id = domain.tenant_id
          WHERE domain.tenant_id = $1 AND domain.name = $2 AND domain.status = 'verified'
            AND record.slot IN ('return_path', 'tracking') AND record.status = 'verified'`,
        [tenantId, name],
      );
      const slots = rows.map(({ slot }) => slot);
      return { returnPath: slots.includes('return_path'), tracking: slots.includes('tracking') };
    },

    /** The verified ones among these names. */
    async verifiedAmong(tenantId: string, names: readonly string[]): Promise<string[]> {
      const rows = await prisma.domain.findMany({
        where: { tenantId, name: { in: [...names] }, status: 'verified' satisfies Status },
        select: { name: true },
      });
      return rows.map((row) => row.name);
    },

    /** Of a verified domain whose signing selector has been seen; undefined otherwise. */
    async findSigningKey(tenantId: string, name: string): Promise<{ selector: string; sealedPrivateKey: Uint8Array } | undefined> {
      const { rows } = await database.pool.query<{ selector: string; sealed_private_key: Buffer }>(
        `SELECT key.selector, key.sealed_private_key
           FROM domain
           JOIN dkim_key AS key ON key.domain_id = domain.id AND key.tenant_id = domain.tenant_id AND key.active
           JOIN domain_record AS record ON record.domain_id = domain.id AND record.slot = 'dkim:' || key.selector
          WHERE domain.tenant_id = $1 AND domain.name = $2 AND domain.status = 'verified' AND record.status = 'verified'`,
        [tenantId, name],
      );
      return rows[0] && { selector: rows[0].selector, sealedPrivateKey: rows[0].sealed_private_key };
    },

    findAnswer: (request: IdempotencyRequest, now: Date): Promise<IdempotencyFinding> => findRecord(database.pool, request, now),

    [Symbol.asyncDispose]: () => prisma.$disconnect(),
  };
}
