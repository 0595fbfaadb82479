// People: users with their passwords, their sessions with the families of refresh tokens, the one-time links by which they set a password, and
// the mail about those that messaging has not taken yet. Ids are uuids.

import { createHash } from 'node:crypto';
import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import { claim, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { revocationsChannel } from '../revocations.ts';
import type { Once } from '../store.ts';
import { type EntryToStore, insertEntries } from './audit.ts';
import { revokeTokenOf } from './personal-access-tokens.ts';

export interface StoredUser {
  id: string;
  tenantId: string;
  email: string;
  role: string;
  createdAt: Date;
  passwordHash: string | null;
  lastLoginAt: Date | null;
}

interface StoredSession {
  id: string;
  createdAt: Date;
  lastUsedAt: Date;
  expiresAt: Date;
  address: string;
  userAgent: string;
}

interface Holder {
  tenantId: string;
  userId: string;
  role: string;
  suspended: boolean;
}

interface NoticeToSend {
  id: string;
  /** `invitation_elsewhere`: to a person of another tenant. */
  kind: 'password_reset' | 'invitation' | 'invitation_elsewhere';
  emailFolded: string;
  publicUrl: string;
  createdAt: Date;
  tries: number;
}

export type Rotation =
  | { outcome: 'done'; user: StoredUser; sessionId: string }
  /** Unknown, expired, or of a session that has ended. */
  | { outcome: 'invalid' }
  /** It was used before: the session has ended by this. */
  | { outcome: 'reused'; sessionId: string; user: StoredUser };

/** As long as a copy would have been good. */
const usedTokensKeptMs = 7 * 24 * 60 * 60_000;

/** `number`: what the API of the user calls them. */
export type NumberedUser = StoredUser & { number: number; suspended: boolean };

type Client = Pick<pg.PoolClient, 'query'>;

const userColumns = `u.id, u.tenant_id AS "tenantId", u.email, u.role, u.created_at AS "createdAt", u.password_hash AS "passwordHash",
  u.last_login_at AS "lastLoginAt"`;

export type People = ReturnType<typeof openPeople>;

export function openPeople(database: Database) {
  const { pool } = database;

  async function userBy(where: string, ...values: unknown[]): Promise<StoredUser | undefined> {
    const { rows } = await pool.query<StoredUser>(`SELECT ${userColumns} FROM account_user u WHERE ${where}`, values);
    return rows[0];
  }

  return {
    /** Without a tenant: whose the address is, is the question. */
    userByEmail: (emailFolded: string) => userBy('u.email_folded = $1', emailFolded),

    user: (tenantId: string, id: string) => userBy('u.tenant_id = $1 AND u.id = $2', tenantId, id),

    /** A user of the tenant; without an id its first owner, of those who have come if any has. */
    async numberedUser(tenantId: string, id: string | undefined): Promise<NumberedUser | undefined> {
      const { rows } = await pool.query<NumberedUser>(
        `SELECT ${userColumns}, u.number, t.suspended_at IS NOT NULL AS suspended
           FROM account_user u JOIN tenant t ON t.id = u.tenant_id
          WHERE u.tenant_id = $1 AND (u.id = $2 OR $2::uuid IS NULL AND u.role = 'owner')
          ORDER BY u.password_hash IS NULL, u.id LIMIT 1`,
        [tenantId, id ?? null],
      );
      return rows[0];
    },

    /** Whether a session of this account came from this address before. */
    async hasComeFrom(emailFolded: string, address: string): Promise<boolean> {
      const { rowCount } = await pool.query(
        'SELECT FROM session s JOIN account_user u ON u.id = s.user_id WHERE u.email_folded = $1 AND s.address = $2 LIMIT 1',
        [emailFolded, address],
      );
      return rowCount === 1;
    },

    /**
     * A session with its first refresh token. False when the password is not the one any more that was compared: whoever set another one
     * ended all sessions, and this one would come after them.
     */
    async insertSession(
      session: StoredSession & { tenantId: string; userId: string },
      refreshSha256: Buffer,
      password: { compared: string; renewed: string | undefined },
      entry: EntryToStore,
    ): Promise<boolean> {
      return database.transaction(async (client) => {
        const { rowCount } = await client.query(
          `UPDATE account_user SET last_login_at = $2, password_hash = coalesce($3, password_hash) WHERE id = $1 AND password_hash = $4`,
          [session.userId, session.createdAt, password.renewed ?? null, password.compared],
        );
        if (rowCount === 0) return false;
        await client.query(
          `INSERT INTO session (id, tenant_id, user_id, created_at, last_used_at, expires_at, address, user_agent)
           VALUES ($1, $2, $3, $4, $4, $5, $6, $7)`,
          [session.id, session.tenantId, session.userId, session.createdAt, session.expiresAt, session.address, session.userAgent],
        );
        await insertRefreshToken(client, session.id, refreshSha256, session.createdAt);
        await insertEntries(client, [entry]);
        return true;
      });
    },

    /** The next refresh token in place of this one, or the end of the session when it was replaced before. */
    async rotate(
      sha256: Buffer,
      next: Buffer,
      from: { address: string; userAgent: string },
      now: Date,
      expiresAt: Date,
    ): Promise<Rotation> {
      return database.transaction(async (client): Promise<Rotation> => {
        // The session's row first, like whoever ends or deletes it: a token is only changed under that lock. Read in a statement of its own:
        // who comes at the same moment with the same token sees what we wrote.
        await client.query('SELECT FROM session WHERE id = (SELECT session_id FROM refresh_token WHERE sha256 = $1) FOR UPDATE', [sha256]);
        const { rows } = await client.query<StoredUser & { sessionId: string; usedAt: Date | null; lasts: boolean }>(
          `SELECT ${userColumns}, s.id AS "sessionId", t.used_at AS "usedAt", s.ended_at IS NULL AND s.expires_at > $2 AS lasts
             FROM refresh_token t JOIN session s ON s.id = t.session_id JOIN account_user u ON u.id = s.user_id
            WHERE t.sha256 = $1`,
          [sha256, now],
        );
        const [found] = rows;
        if (found === undefined || !found.lasts) return { outcome: 'invalid' };
        const { sessionId, usedAt, lasts, ...user } = found;
        if (usedAt !== null) {
          await endSessions(client, [sessionId], now);
          const entry: EntryToStore = {
            tenantId: user.tenantId,
            action: 'session.reused',
            actorId: '',
            subjectId: uuidToId('ses', sessionId),
            address: from.address,
            detail: uuidToId('usr', user.id),
          };
          await insertEntries(client, [entry]);
          return { outcome: 'reused', sessionId, user };
        }
        await client.query('UPDATE refresh_token SET used_at = $2 WHERE sha256 = $1', [sha256, now]);
        // A session that goes on for a year would leave thousands. One that comes back later than that is unknown.
        await client.query('DELETE FROM refresh_token WHERE session_id = $1 AND used_at <= $2', [
          sessionId,
          new Date(now.getTime() - usedTokensKeptMs),
        ]);
        await insertRefreshToken(client, sessionId, next, now);
        await client.query('UPDATE session SET last_used_at = $2, expires_at = $3, address = $4, user_agent = $5 WHERE id = $1', [
          sessionId,
          now,
          expiresAt,
          from.address,
          from.userAgent,
        ]);
        return { outcome: 'done', user, sessionId };
      });
    },

    /** Without a tenant: whose the session is, is the question. */
    async holder(sessionId: string, now: Date): Promise<Holder | undefined> {
      const { rows } = await pool.query<Holder>({
        name: 'holder_of_session',
        text: `SELECT s.tenant_id AS "tenantId", s.user_id AS "userId", u.role, t.suspended_at IS NOT NULL AS suspended
                 FROM session s JOIN account_user u ON u.id = s.user_id JOIN tenant t ON t.id = s.tenant_id
                WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2`,
        values: [sessionId, now],
      });
      return rows[0];
    },

    async sessions(
      tenantId: string,
      userId: string,
      page: { limit: number; afterId: string | undefined },
      now: Date,
    ): Promise<StoredSession[]> {
      const { rows } = await pool.query<StoredSession>(
        `SELECT id, created_at AS "createdAt", last_used_at AS "lastUsedAt", expires_at AS "expiresAt", address, user_agent AS "userAgent"
           FROM session WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3 AND ($4::uuid IS NULL OR id < $4)
          ORDER BY id DESC LIMIT $5`,
        [tenantId, userId, now, page.afterId ?? null, page.limit],
      );
      return rows;
    },

    /** One session of the user, or all but one. Returns those that ended by this. */
    async endSessions(
      tenantId: string,
      userId: string,
      which: { only: string | undefined; but: string | undefined },
      now: Date,
    ): Promise<string[]> {
      return database.transaction((client) => endSessionsOf(client, tenantId, userId, which, now));
    },

    /**
     * A new password in place of the one that was compared; every link ends, and every session but one. False when somebody else set
     * another one meanwhile.
     */
    async changePassword(
      user: Pick<StoredUser, 'id' | 'tenantId'>,
      password: { compared: string; next: string },
      keepSessionId: string | undefined,
      entry: EntryToStore,
      now: Date,
    ): Promise<boolean> {
      return database.transaction(async (client) => {
        await beforeRemovals(client, user.tenantId);
        return setPassword(client, user, password, keepSessionId, entry, now);
      });
    },

    /** Whose a link is that is still good. */
    async userOfLink(sha256: Buffer, now: Date): Promise<StoredUser | undefined> {
      const { rows } = await pool.query<StoredUser>(
        `SELECT ${userColumns} FROM one_time_link l JOIN account_user u ON u.id = l.user_id WHERE l.sha256 = $1 AND l.expires_at > $2`,
        [sha256, now],
      );
      return rows[0];
    },

    /** Uses a link up and sets the password; false when somebody else used it meanwhile. */
    async useLink(sha256: Buffer, user: StoredUser, passwordHash: string, entry: EntryToStore, now: Date): Promise<boolean> {
      return database.transaction(async (client) => {
        await beforeRemovals(client, user.tenantId);
        const { rowCount } = await client.query('DELETE FROM one_time_link WHERE sha256 = $1 AND user_id = $2 AND expires_at > $3', [
          sha256,
          user.id,
          now,
        ]);
        if (rowCount === 0) return false;
        return setPassword(client, user, { compared: undefined, next: passwordHash }, undefined, entry, now);
      });
    },

    async insertLink(sha256: Buffer, userId: string, now: Date, expiresAt: Date, entry: EntryToStore | undefined): Promise<void> {
      await database.transaction(async (client) => {
        await client.query('INSERT INTO one_time_link (sha256, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)', [
          sha256,
          userId,
          now,
          expiresAt,
        ]);
        if (entry !== undefined) await insertEntries(client, [entry]);
      });
    },

    insertPasswordReset: (emailFolded: string, publicUrl: string, now: Date) =>
      insertNotice(pool, { kind: 'password_reset', tenantId: null, emailFolded, publicUrl }, now),

    /** Those that are due, which come again after `againAt` unless they are done with by then. */
    async claimNotices(limit: number, now: Date, againAt: Date): Promise<NoticeToSend[]> {
      const { rows } = await pool.query<NoticeToSend>(
        `UPDATE notice SET tries = tries + 1, due_at = $2 WHERE id IN (
           SELECT id FROM notice WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, email_folded AS "emailFolded", public_url AS "publicUrl", created_at AS "createdAt", tries`,
        [now, againAt, limit],
      );
      return rows;
    },

    async postponeNotice(id: string, dueAt: Date): Promise<void> {
      await pool.query('UPDATE notice SET due_at = $2 WHERE id = $1', [id, dueAt]);
    },

    async deleteNotice(id: string): Promise<void> {
      await pool.query('DELETE FROM notice WHERE id = $1', [id]);
    },

    async members(tenantId: string, page: { limit: number; afterId: string | undefined }): Promise<StoredUser[]> {
      const { rows } = await pool.query<StoredUser>(
        `SELECT ${userColumns} FROM account_user u WHERE u.tenant_id = $1 AND ($2::uuid IS NULL OR u.id < $2) ORDER BY u.id DESC LIMIT $3`,
        [tenantId, page.afterId ?? null, page.limit],
      );
      return rows;
    },

    /**
     * The user, the notice that invites them, the entry and the answer together. Whose address is that of another tenant's person is kept
     * all the same, and told that nobody is a member of two: the answer is that of everybody else. Invitations from before `overBefore` hold no address any more.
     */
    async insertMember(
      user: StoredUser & { emailFolded: string },
      publicUrl: string,
      entry: EntryToStore,
      request: (IdempotencyRequest & { response: Uint8Array }) | undefined,
      now: Date,
      overBefore: Date,
    ): Promise<Once | { outcome: 'is_member' }> {
      try {
        return await database.transaction(async (client): Promise<Once | { outcome: 'is_member' }> => {
          if (request !== undefined) {
            const [claimed] = await claim(client, [request], now);
            if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
          }
          const { tenantId, emailFolded } = user;
          if (await isMember(client, tenantId, emailFolded)) return { outcome: 'is_member' };
          await freeAddress(client, emailFolded, now, overBefore);
          const free = await insertInvited(client, user, emailFolded, now);
          const kind = free ? 'invitation' : 'invitation_elsewhere';
          await insertNotice(client, { kind, tenantId, emailFolded, publicUrl }, now);
          await insertEntries(client, [entry]);
          if (request !== undefined) await storeRecord(client, [request], now);
          return { outcome: 'done' };
        });
      } catch (error) {
        if (isUniqueViolation(error, 'account_user_tenant_id_email_key')) return { outcome: 'is_member' };
        throw error;
      }
    },

    /** With their sessions and their token; two who remove each other at the same time come one after the other. */
    async removeMember(tenantId: string, id: string, entry: EntryToStore, now: Date): Promise<'done' | 'absent' | 'last_owner'> {
      return database.transaction(async (client) => {
        await client.query('SELECT FROM tenant WHERE id = $1 FOR UPDATE', [tenantId]);
        const { rows } = await client.query<{ id: string; role: string; email: string; active: boolean }>(
          'SELECT id, role, email, password_hash IS NOT NULL AS active FROM account_user WHERE tenant_id = $1',
          [tenantId],
        );
        const member = rows.find((row) => row.id === id);
        if (member === undefined) return 'absent';
        if (member.role === 'owner' && !leavesAnOwner(member, rows)) return 'last_owner';
        await endSessionsOf(client, tenantId, id, { only: undefined, but: undefined }, now);
        await client.query('DELETE FROM account_user WHERE tenant_id = $1 AND id = $2', [tenantId, id]);
        // After the row is gone: whoever was making another token held it.
        await revokeTokenOf(client, tenantId, id, now);
        // Mail that has not gone out yet: invited again, the address would get it as well as the next.
        await client.query('DELETE FROM notice WHERE tenant_id = $1 AND email_folded = $2', [tenantId, member.email.toLowerCase()]);
        await insertEntries(client, [entry]);
        return 'done';
      });
    },

    /** What nobody can use any more. What somebody holds, who may be removing its user, goes the next time: nobody is waited for. */
    async forget(now: Date): Promise<void> {
      await pool.query('DELETE FROM session WHERE id = ANY (ARRAY(SELECT id FROM session WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED))', [
        now,
      ]);
      await pool.query(
        'DELETE FROM one_time_link WHERE sha256 = ANY (ARRAY(SELECT sha256 FROM one_time_link WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED))',
        [now],
      );
    },
  };
}

/**
 * Folded here and not by the index: the database's lower() goes by its locale, which may know nothing beyond ASCII. Two who invite the same
 * address come one after the other.
 */
async function isMember(client: Client, tenantId: string, emailFolded: string): Promise<boolean> {
  await client.query('SELECT FROM tenant WHERE id = $1 FOR NO KEY UPDATE', [tenantId]);
  const { rows } = await client.query<{ email: string }>('SELECT email FROM account_user WHERE tenant_id = $1', [tenantId]);
  return rows.some(({ email }) => email.toLowerCase() === emailFolded);
}

/** An invitation to another tenant that nobody took has the address no longer; the first user of a tenant, whom nobody invited, keeps theirs. */
async function freeAddress(client: Client, emailFolded: string, now: Date, overBefore: Date): Promise<void> {
  await client.query(
    `UPDATE account_user u SET email_folded = NULL
      WHERE u.email_folded = $1 AND u.password_hash IS NULL AND u.created_at < $3
        AND NOT EXISTS (SELECT FROM one_time_link l WHERE l.user_id = u.id AND l.expires_at > $2)
        AND EXISTS (SELECT FROM account_user o WHERE o.tenant_id = u.tenant_id AND o.id < u.id)`,
    [emailFolded, now, overBefore],
  );
}

/**
 * False where somebody of another tenant has the address: then without it. Looked up first, because an insert that does nothing uses up a
 * number too, and numbers are shown; a second one is only for who takes the address in this moment.
 */
async function insertInvited(client: Client, user: StoredUser, emailFolded: string, now: Date): Promise<boolean> {
  for (;;) {
    const { rows } = await client.query<{ free: boolean }>(
      `INSERT INTO account_user (id, tenant_id, email, email_folded, role, created_at)
       VALUES ($1, $2, $3, CASE WHEN EXISTS (SELECT FROM account_user WHERE email_folded = $4) THEN NULL ELSE $4 END, $5, $6)
       ON CONFLICT (email_folded) DO NOTHING RETURNING email_folded IS NOT NULL AS free`,
      [user.id, user.tenantId, user.email, emailFolded, user.role, now],
    );
    if (rows[0] !== undefined) return rows[0].free;
  }
}

/**
 * Who is invited may never come, so an owner with a password goes only where another one has one. So does the first, for whom the account was
 * made: while no owner has come its mail goes there, and a key could have it go to a stranger that it invited.
 */
function leavesAnOwner(
  leaving: { id: string; active: boolean },
  members: readonly { id: string; role: string; active: boolean }[],
): boolean {
  const others = members.filter(({ id, role }) => role === 'owner' && id !== leaving.id);
  const isFirst = others.every(({ id }) => id > leaving.id);
  return others.some(({ active }) => active) || (!leaving.active && !isFirst);
}

async function insertRefreshToken(client: Client, sessionId: string, sha256: Buffer, now: Date): Promise<void> {
  await client.query('INSERT INTO refresh_token (sha256, session_id, created_at) VALUES ($1, $2, $3)', [sha256, sessionId, now]);
}

async function insertNotice(
  on: Client,
  { kind, tenantId, emailFolded, publicUrl }: Pick<NoticeToSend, 'kind' | 'emailFolded' | 'publicUrl'> & { tenantId: string | null },
  now: Date,
): Promise<void> {
  await on.query(
    `INSERT INTO notice (id, kind, tenant_id, email_folded, public_url, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
    [newUuid(), kind, tenantId, emailFolded, publicUrl, now],
  );
}

/** Whoever removes a user locks the tenant's row first: with it they come before us or after us, and neither holds what the other waits for. */
async function beforeRemovals(client: Client, tenantId: string): Promise<void> {
  await client.query('SELECT FROM tenant WHERE id = $1 FOR KEY SHARE', [tenantId]);
}

async function setPassword(
  client: Client,
  { id, tenantId }: Pick<StoredUser, 'id' | 'tenantId'>,
  { compared, next }: { compared: string | undefined; next: string },
  keepSessionId: string | undefined,
  entry: EntryToStore,
  now: Date,
): Promise<boolean> {
  const { rowCount } = await client.query(
    'UPDATE account_user SET password_hash = $3 WHERE tenant_id = $1 AND id = $2 AND ($4::text IS NULL OR password_hash = $4)',
    [tenantId, id, next, compared ?? null],
  );
  if (rowCount === 0) return false;
  await client.query('DELETE FROM one_time_link WHERE user_id = $1', [id]);
  await endSessionsOf(client, tenantId, id, { only: undefined, but: keepSessionId }, now);
  await insertEntries(client, [entry]);
  return true;
}

async function endSessionsOf(
  client: Client,
  tenantId: string,
  userId: string,
  { only, but }: { only: string | undefined; but: string | undefined },
  now: Date,
): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT id FROM session WHERE tenant_id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3
        AND ($4::uuid IS NULL OR id = $4) AND ($5::uuid IS NULL OR id <> $5) ORDER BY id FOR UPDATE`,
    [tenantId, userId, now, only ?? null, but ?? null],
  );
  const ids = rows.map(({ id }) => id);
  await endSessions(client, ids, now);
  return ids;
}

/** In the same transaction everybody who listens is told the hash of each id. */
async function endSessions(client: Client, ids: readonly string[], now: Date): Promise<void> {
  if (ids.length === 0) return;
  await client.query('UPDATE session SET ended_at = $2 WHERE id = ANY($1::uuid[])', [ids, now]);
  const payloads = ids.map((id) => createHash('sha256').update(uuidToId('ses', id)).digest('base64'));
  await client.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [revocationsChannel, payloads]);
}
