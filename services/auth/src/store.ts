// What auth remembers of tenants, their first users, their keys, and the answers to repeated requests. Beside store/, the only file that
// touches the database.
// Ids are uuids here. Every function that is asked on a tenant's behalf filters by the tenant; the two that are not say why.

import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import { claim, findRecord, type IdempotencyFinding, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type pg from 'pg';
import { PrismaClient } from '../gen/prisma/client.ts';
import { revocationsChannel } from './revocations.ts';
import { type EntryToStore, insertEntries } from './store/audit.ts';

export interface StoredKey {
  id: string;
  tenantId: string;
  name: string;
  scope: string;
  prefix: string;
  allowedIps: string[];
  allowedDomains: string[];
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
  test: boolean;
  dailyLimit: number;
}

export type KeyToStore = Omit<StoredKey, 'revokedAt' | 'lastUsedAt'> & { sha256: Buffer };

export interface TenantToStore {
  id: string;
  name: string;
  createdAt: Date;
  owner: { id: string; email: string; emailFolded: string };
  apiKey: KeyToStore;
}

/** What came of a request that may arrive twice. */
export type Once = { outcome: 'done' } | { outcome: 'replay'; response: Buffer } | { outcome: 'mismatch' } | { outcome: 'in_progress' };

export interface Store extends AsyncDisposable {
  /** Without a tenant: whose the key is, is the question. */
  findKeyBySha256(sha256: Uint8Array): Promise<(StoredKey & { suspended: boolean }) | undefined>;
  /** Newest first; revoked keys are gone. */
  listKeys(tenantId: string, page: { limit: number; afterId: string | undefined }): Promise<StoredKey[]>;
  /** undefined when the tenant has no such key, or has revoked it. */
  findKey(tenantId: string, id: string): Promise<StoredKey | undefined>;
  insertKey(key: KeyToStore, entry: EntryToStore): Promise<void>;
  /** The key and the answer in one transaction, unless the request was answered before. */
  insertKeyOnce(key: KeyToStore, request: IdempotencyRequest & { response: Uint8Array }, entry: EntryToStore, now: Date): Promise<Once>;
  findAnswer(request: IdempotencyRequest, now: Date): Promise<IdempotencyFinding>;
  /** False when there is none to revoke. In the same transaction everybody who listens is told the key's hash. */
  revokeKey(tenantId: string, id: string, at: Date, entry: EntryToStore): Promise<boolean>;
  /** Tenant, owner and key, or none of them; `email_taken` when the address has a tenant. */
  insertTenant(tenant: TenantToStore): Promise<'done' | 'email_taken'>;
  /** Without a tenant: the ids come from rows that were authenticated. */
  setLastUsed(ids: readonly string[], at: Date): Promise<void>;
}

const columns = {
  id: true,
  tenantId: true,
  name: true,
  scope: true,
  prefix: true,
  allowedIps: true,
  allowedDomains: true,
  createdAt: true,
  expiresAt: true,
  revokedAt: true,
  lastUsedAt: true,
  test: true,
  dailyLimit: true,
} as const;

export function openStore(database: Database): Store {
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });
  return {
    async findKeyBySha256(sha256) {
      // By hand: Prisma would ask for the key and then for its tenant.
      const { rows } = await database.pool.query<StoredKey & { suspended: boolean }>({
        name: 'key_by_sha256',
        text: `SELECT k.id, tenant_id AS "tenantId", k.name, scope, prefix, allowed_ips AS "allowedIps", allowed_domains AS "allowedDomains",
                      k.created_at AS "createdAt", expires_at AS "expiresAt", revoked_at AS "revokedAt", last_used_at AS "lastUsedAt", test,
                      daily_limit AS "dailyLimit", suspended_at IS NOT NULL AS suspended
                 FROM api_key k JOIN tenant ON tenant.id = tenant_id WHERE sha256 = $1`,
        values: [sha256],
      });
      return rows[0];
    },

    listKeys(tenantId, { limit, afterId }) {
      return prisma.apiKey.findMany({
        where: { tenantId, revokedAt: null, ...(afterId === undefined ? {} : { id: { lt: afterId } }) },
        orderBy: { id: 'desc' },
        take: limit,
        select: columns,
      });
    },

    async findKey(tenantId, id) {
      return (await prisma.apiKey.findFirst({ where: { tenantId, id, revokedAt: null }, select: columns })) ?? undefined;
    },

    insertKey(key, entry) {
      return database.transaction(async (client) => {
        await insertKey(client, key);
        await insertEntries(client, [entry]);
      });
    },

    async insertKeyOnce(key, request, entry, now) {
      return database.transaction(async (client): Promise<Once> => {
        const [claimed] = await claim(client, [request], now);
        if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        await insertKey(client, key);
        await insertEntries(client, [entry]);
        await storeRecord(client, [request], now);
        return { outcome: 'done' };
      });
    },

    findAnswer: (request, now) => findRecord(database.pool, request, now),

    revokeKey(tenantId, id, at, entry) {
      return database.transaction(async (client) => {
        const { rowCount } = await client.query(
          `WITH revoked AS (
             UPDATE api_key SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING sha256)
           SELECT pg_notify($4, encode(sha256, 'base64')) FROM revoked`,
          [tenantId, id, at, revocationsChannel],
        );
        if (rowCount === 1) await insertEntries(client, [entry]);
        return rowCount === 1;
      });
    },

    async insertTenant({ id, name, createdAt, owner, apiKey: { tenantId: _, ...apiKey } }) {
      try {
        // A nested create is one transaction.
        await prisma.tenant.create({
          data: {
            id,
            name,
            createdAt,
            users: { create: { ...owner, role: 'owner', createdAt } },
            apiKeys: { create: { ...apiKey, sha256: Uint8Array.from(apiKey.sha256) } },
          },
          select: { id: true },
        });
      } catch (error) {
        if (isUniqueViolation(error, 'account_user_email_folded_key')) return 'email_taken';
        throw error;
      }
      return 'done';
    },

    async setLastUsed(ids, at) {
      // A row that another pod is writing gets the same minute from it: nobody waits, so nobody deadlocks.
      await database.pool.query(
        `UPDATE api_key SET last_used_at = $2 WHERE id IN (
           SELECT id FROM api_key WHERE id = ANY($1::uuid[]) AND (last_used_at IS NULL OR last_used_at < $2) FOR UPDATE SKIP LOCKED)`,
        [ids, at],
      );
    },

    [Symbol.asyncDispose]: () => prisma.$disconnect(),
  };
}

/** By hand, because it shares a transaction with the idempotency record. */
async function insertKey(on: Pick<pg.PoolClient, 'query'>, key: KeyToStore): Promise<void> {
  await on.query(
    `INSERT INTO api_key (id, tenant_id, name, scope, sha256, prefix, allowed_ips, allowed_domains, created_at, expires_at, test, daily_limit)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      key.id,
      key.tenantId,
      key.name,
      key.scope,
      key.sha256,
      key.prefix,
      key.allowedIps,
      key.allowedDomains,
      key.createdAt,
      key.expiresAt,
      key.test,
      key.dailyLimit,
    ],
  );
}
