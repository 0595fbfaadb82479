// SMTP users: names and passwords for submission. Only a hash of both is kept.
import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import { claim, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type pg from 'pg';
import { revocationsChannel } from '../revocations.ts';
import type { Once } from '../store.ts';
import { type EntryToStore, insertEntries } from './audit.ts';

export interface StoredSmtpUser {
  id: string;
  tenantId: string;
  username: string;
  domain: string;
  allowedIps: string[];
  dailyLimit: number;
  createdAt: Date;
  lastUsedAt: Date | null;
}

export type SmtpUserToStore = Omit<StoredSmtpUser, 'lastUsedAt'> & { usernameFolded: string; sha256: Buffer };

/** A request that may come twice, with what it is answered. */
export type Answered = IdempotencyRequest & { response: Uint8Array; now: Date };

export interface SmtpUsers {
  /** With a request, its answer is kept in the same transaction. */
  insert(user: SmtpUserToStore, entry: EntryToStore, request: Answered | undefined): Promise<Once | { outcome: 'username_taken' }>;
  /** Newest first. */
  list(tenantId: string, page: { limit: number; afterId: string | undefined }): Promise<StoredSmtpUser[]>;
  find(tenantId: string, id: string): Promise<StoredSmtpUser | undefined>;
  /** False when there is none. In the same transaction everybody who listens is told the hash. */
  remove(tenantId: string, id: string, entry: EntryToStore): Promise<boolean>;
  /** In the same transaction everybody who listens is told the hash that was. */
  replacePassword(
    user: { tenantId: string; id: string; sha256: Buffer },
    entry: EntryToStore,
    request: Answered | undefined,
  ): Promise<Once | { outcome: 'missing' }>;
  /** Without a tenant: whose it is, is the question. */
  findBySha256(sha256: Uint8Array): Promise<(StoredSmtpUser & { suspended: boolean }) | undefined>;
  /** Without a tenant: the ids come from rows that were authenticated. */
  setLastUsed(ids: readonly string[], at: Date): Promise<void>;
}

const columns = `u.id, u.tenant_id AS "tenantId", u.username, u.domain, u.allowed_ips AS "allowedIps", u.daily_limit AS "dailyLimit",
                 u.created_at AS "createdAt", u.last_used_at AS "lastUsedAt"`;

export function openSmtpUsers(database: Database): SmtpUsers {
  const { pool } = database;
  return {
    async insert(user, entry, request) {
      try {
        return await database.transaction(async (client): Promise<Once> => {
          const before = await answeredBefore(client, request);
          if (before !== undefined) return before;
          await client.query(
            `INSERT INTO smtp_user (id, tenant_id, username, username_folded, sha256, domain, allowed_ips, daily_limit, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
            [
              user.id,
              user.tenantId,
              user.username,
              user.usernameFolded,
              user.sha256,
              user.domain,
              user.allowedIps,
              user.dailyLimit,
              user.createdAt,
            ],
          );
          await insertEntries(client, [entry]);
          if (request !== undefined) await storeRecord(client, [request], request.now);
          return { outcome: 'done' };
        });
      } catch (error) {
        if (isUniqueViolation(error, 'smtp_user_username_folded_key')) return { outcome: 'username_taken' };
        throw error;
      }
    },

    async list(tenantId, { limit, afterId }) {
      const { rows } = await pool.query<StoredSmtpUser>(
        `SELECT ${columns} FROM smtp_user u WHERE u.tenant_id = $1 AND ($2::uuid IS NULL OR u.id < $2) ORDER BY u.id DESC LIMIT $3`,
        [tenantId, afterId ?? null, limit],
      );
      return rows;
    },

    async find(tenantId, id) {
      const { rows } = await pool.query<StoredSmtpUser>(`SELECT ${columns} FROM smtp_user u WHERE u.tenant_id = $1 AND u.id = $2`, [
        tenantId,
        id,
      ]);
      return rows[0];
    },

    remove(tenantId, id, entry) {
      return database.transaction(async (client) => {
        const { rowCount } = await client.query(
          `WITH gone AS (DELETE FROM smtp_user WHERE tenant_id = $1 AND id = $2 RETURNING sha256)
           SELECT pg_notify($3, encode(sha256, 'base64')) FROM gone`,
          [tenantId, id, revocationsChannel],
        );
        if (rowCount === 1) await insertEntries(client, [entry]);
        return rowCount === 1;
      });
    },

    replacePassword({ tenantId, id, sha256 }, entry, request) {
      return database.transaction(async (client): Promise<Once | { outcome: 'missing' }> => {
        const before = await answeredBefore(client, request);
        if (before !== undefined) return before;
        const { rowCount } = await client.query(
          `WITH old AS (SELECT id, sha256 FROM smtp_user WHERE tenant_id = $1 AND id = $2 FOR UPDATE),
                new AS (UPDATE smtp_user u SET sha256 = $3 FROM old WHERE u.id = old.id)
           SELECT pg_notify($4, encode(sha256, 'base64')) FROM old`,
          [tenantId, id, sha256, revocationsChannel],
        );
        if (rowCount !== 1) return { outcome: 'missing' };
        await insertEntries(client, [entry]);
        if (request !== undefined) await storeRecord(client, [request], request.now);
        return { outcome: 'done' };
      });
    },

    async findBySha256(sha256) {
      const { rows } = await pool.query<StoredSmtpUser & { suspended: boolean }>({
        name: 'smtp_user_by_sha256',
        text: `SELECT ${columns}, tenant.suspended_at IS NOT NULL AS suspended
                 FROM smtp_user u JOIN tenant ON tenant.id = u.tenant_id WHERE u.sha256 = $1`,
        values: [sha256],
      });
      return rows[0];
    },

    async setLastUsed(ids, at) {
      await pool.query(
        `UPDATE smtp_user SET last_used_at = $2 WHERE id IN (
           SELECT id FROM smtp_user WHERE id = ANY($1::uuid[]) AND (last_used_at IS NULL OR last_used_at < $2) FOR UPDATE SKIP LOCKED)`,
        [ids, at],
      );
    },
  };
}

/** Undefined where the request is this transaction's to do. */
async function answeredBefore(client: pg.PoolClient, request: Answered | undefined): Promise<Once | undefined> {
  if (request === undefined) return undefined;
  const [claimed] = await claim(client, [request], request.now);
  return claimed?.outcome === 'claimed' ? undefined : (claimed ?? { outcome: 'in_progress' });
}
