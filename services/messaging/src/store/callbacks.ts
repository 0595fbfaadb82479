// Callbacks as their owners see and change them. Ids are the database's; every question filters by the tenant.
import { textArray } from '@maildoot/db/parameters';
import type { CallbackDisabledReason } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { newUuid } from '@maildoot/runtime/ids';
import type pg from 'pg';

export interface StoredCallback {
  id: string;
  tenantId: string;
  url: string;
  /** None = all. */
  events: string[];
  description: string;
  enabled: boolean;
  disabledReason: CallbackDisabledReason;
  disabledAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
  failingSince: Date | null;
  pausedUntil: Date | null;
  previousUntil: Date | null;
  /** Whose due rows are its own. */
  lane: string;
  position: bigint;
}

type Queryable = Pick<pg.Pool | pg.PoolClient, 'query'>;

const columns = `id, tenant_id AS "tenantId", url, events, description, enabled, disabled_reason AS "disabledReason", disabled_at AS "disabledAt",
  created_at AS "createdAt", updated_at AS "updatedAt", failing_since AS "failingSince", paused_until AS "pausedUntil",
  previous_until AS "previousUntil", lane, position::text AS position`;

type Row = Omit<StoredCallback, 'position'> & { position: string };

const stored = (row: Row): StoredCallback => ({ ...row, position: BigInt(row.position) });

export interface NewCallback {
  id: string;
  tenantId: string;
  url: string;
  events: readonly string[];
  description: string;
  createdAt: Date;
  sealedSecret: Uint8Array;
  position: bigint;
}

/** How many a tenant can have: each is looked at several times a second. */
export const mostCallbacks = 50;

export async function countCallbacks(on: Queryable, tenantId: string): Promise<number> {
  const { rows } = await on.query<{ count: number }>('SELECT count(*)::int AS count FROM callback WHERE tenant_id = $1', [tenantId]);
  return rows[0]!.count;
}

export async function insertCallback(on: Queryable, callback: NewCallback): Promise<StoredCallback> {
  const { rows } = await on.query<Row>(
    `INSERT INTO callback (id, tenant_id, url, events, description, enabled, disabled_reason, created_at, updated_at, secret, position, lane)
     VALUES ($1, $2, $3, $4, $5, true, 0, $6, $6, $7, $8, $9) RETURNING ${columns}`,
    [
      callback.id,
      callback.tenantId,
      callback.url,
      textArray(callback.events),
      callback.description,
      callback.createdAt,
      callback.sealedSecret,
      String(callback.position),
      newUuid(),
    ],
  );
  return stored(rows[0]!);
}

/** Newest first. */
export async function listCallbacks(
  on: Queryable,
  tenantId: string,
  beforeId: string | undefined,
  limit: number,
): Promise<StoredCallback[]> {
  const { rows } = await on.query<Row>(
    `SELECT ${columns} FROM callback WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
    [tenantId, beforeId ?? null, limit],
  );
  return rows.map(stored);
}

export async function findCallback(on: Queryable, tenantId: string, id: string, lock = false): Promise<StoredCallback | undefined> {
  const { rows } = await on.query<Row>(
    `SELECT ${columns} FROM callback WHERE tenant_id = $1 AND id = $2 ${lock ? 'FOR NO KEY UPDATE' : ''}`,
    [tenantId, id],
  );
  return rows[0] && stored(rows[0]);
}

export interface CallbackChange {
  url?: string | undefined;
  events?: readonly string[] | undefined;
  description?: string | undefined;
}

/** Of a locked callback. */
export async function changeCallback(
  on: Queryable,
  id: string,
  { url, events, description }: CallbackChange,
  now: Date,
): Promise<StoredCallback> {
  const { rows } = await on.query<Row>(
    `UPDATE callback SET url = coalesce($2, url), events = coalesce($3::text[], events), description = coalesce($4, description), updated_at = $5
     WHERE id = $1 RETURNING ${columns}`,
    [id, url ?? null, events === undefined ? null : textArray(events), description ?? null, now],
  );
  return stored(rows[0]!);
}

/** Of a locked callback that is disabled: it goes on from this place in the feed, as if nothing had ever failed. */
export async function enableCallback(on: Queryable, id: string, position: bigint, now: Date): Promise<StoredCallback> {
  const { rows } = await on.query<Row>(
    `UPDATE callback SET enabled = true, disabled_reason = 0, disabled_at = NULL, failing_since = NULL, paused_until = NULL, position = $2, updated_at = $3
     WHERE id = $1 RETURNING ${columns}`,
    [id, String(position), now],
  );
  return stored(rows[0]!);
}

/** Leaves what waits behind, at once. Undefined: it was not enabled. */
export async function disableCallback(
  on: Queryable,
  id: string,
  reason: CallbackDisabledReason,
  now: Date,
): Promise<StoredCallback | undefined> {
  const { rows } = await on.query<Row & { oldLane: string }>(
    `WITH former AS (SELECT id AS of, lane AS "oldLane" FROM callback WHERE id = $1 AND enabled FOR NO KEY UPDATE)
     UPDATE callback SET enabled = false, disabled_reason = $2, disabled_at = $3, updated_at = $3, paused_until = NULL, lane = $4
     FROM former WHERE id = former.of RETURNING ${columns}, "oldLane"`,
    [id, reason, now, newUuid()],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { oldLane, ...callback } = row;
  await leaveLane(on, oldLane);
  await on.query('DELETE FROM callback_replay WHERE callback_id = $1', [id]);
  return stored(callback);
}

/** False: there is none. */
export async function deleteCallback(on: Queryable, tenantId: string, id: string): Promise<boolean> {
  const { rows } = await on.query<{ lane: string }>('DELETE FROM callback WHERE tenant_id = $1 AND id = $2 RETURNING lane', [tenantId, id]);
  if (rows[0] === undefined) return false;
  await leaveLane(on, rows[0].lane);
  await on.query('DELETE FROM callback_replay WHERE callback_id = $1', [id]);
  await on.query('DELETE FROM callback_notice WHERE callback_id = $1', [id]);
  return true;
}

async function leaveLane(on: Queryable, lane: string): Promise<void> {
  await on.query('INSERT INTO callback_old_lane (lane) VALUES ($1)', [lane]);
}

/** The secret there was signs along until then. Of a locked callback. */
export async function rotateSecret(on: Queryable, id: string, sealed: Uint8Array, previousUntil: Date, now: Date): Promise<StoredCallback> {
  const { rows } = await on.query<Row>(
    `UPDATE callback SET previous_secret = secret, previous_until = $3, secret = $2, updated_at = $4 WHERE id = $1 RETURNING ${columns}`,
    [id, sealed, previousUntil, now],
  );
  return stored(rows[0]!);
}

/**
 * The place in the feeds up to which everything is visible to whoever asks after this. For the moment no places are given: one that was
 * given and isn't committed could lie before it. Within a transaction, which then ends soon.
 */
export async function settledPlace(client: pg.PoolClient): Promise<bigint> {
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('feed ' || 'feed_pending'::regclass::oid, 0))");
  const { rows } = await client.query<{ place: string }>('SELECT last_value::text AS place FROM feed_seq');
  return BigInt(rows[0]!.place);
}

/** How many a callback can have under way: each is walked of its own. */
export const mostReplays = 5;

/** Of a locked callback. */
export async function countReplays(on: Queryable, callbackId: string): Promise<number> {
  const { rows } = await on.query<{ count: number }>('SELECT count(*)::int AS count FROM callback_replay WHERE callback_id = $1', [
    callbackId,
  ]);
  return rows[0]!.count;
}

export async function insertReplay(
  on: Queryable,
  replay: { id: string; callbackId: string; tenantId: string; position: bigint; until: bigint; onlyFailed: boolean },
): Promise<void> {
  await on.query('INSERT INTO callback_replay (id, callback_id, tenant_id, position, until, only_failed) VALUES ($1, $2, $3, $4, $5, $6)', [
    replay.id,
    replay.callbackId,
    replay.tenantId,
    String(replay.position),
    String(replay.until),
    replay.onlyFailed,
  ]);
}

// ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface AttemptRow {
  id: string;
  callbackId: string;
  tenantId: string;
  eventId: string;
  /** The message, or the event itself. */
  aboutId: string;
  recipientNumber: number;
  type: string;
  number: number;
  at: Date;
  durationMs: number;
  outcome: number;
  httpStatus: number;
  detail: string;
  nextAttemptAt: Date | null;
}

const attemptColumns = `id, callback_id AS "callbackId", tenant_id AS "tenantId", event_id AS "eventId", about_id AS "aboutId",
  recipient_number AS "recipientNumber", type, number, at, duration_ms AS "durationMs", outcome, http_status AS "httpStatus", detail,
  next_attempt_at AS "nextAttemptAt"`;

/** Newest first. */
export async function listAttempts(
  on: Queryable,
  of: {
    tenantId: string;
    callbackId: string;
    beforeId?: string | undefined;
    eventId?: string | undefined;
    succeeded?: boolean | undefined;
  },
  limit: number,
): Promise<AttemptRow[]> {
  const { rows } = await on.query<AttemptRow>(
    `SELECT ${attemptColumns} FROM callback_attempt
     WHERE callback_id = $1 AND tenant_id = $2 AND ($3::uuid IS NULL OR id < $3) AND ($4::uuid IS NULL OR event_id = $4)
       AND ($5::bool IS NULL OR (outcome = 1) = $5)
     ORDER BY id DESC LIMIT $6`,
    [of.callbackId, of.tenantId, of.beforeId ?? null, of.eventId ?? null, of.succeeded ?? null, limit],
  );
  return rows;
}

/** How many attempts one answer about a message holds. */
const attemptsOfAnswer = 10_000;

export interface AttemptsPage {
  /** Oldest first. */
  attempts: AttemptRow[];
  /** Behind this one the next page starts; undefined: there is none. */
  nextAfterId: string | undefined;
}

/**
 * What told of one message. When it is more than one answer holds, each recipient's first ones go before anybody's later ones, so that of
 * 1,000 recipients each has some ten on the first page.
 */
export async function attemptsOfMessage(
  on: Queryable,
  tenantId: string,
  messageId: string,
  { afterId, most = attemptsOfAnswer }: { afterId?: string | undefined; most?: number } = {},
): Promise<AttemptsPage> {
  // An attempt's place never changes: later ones of its recipient come behind it.
  const { rows } = await on.query<AttemptRow>(
    `WITH placed AS (
       SELECT *, row_number() OVER (PARTITION BY recipient_number ORDER BY id) AS place
       FROM callback_attempt WHERE about_id = $1 AND tenant_id = $2 AND id >= $1
     )
     SELECT ${attemptColumns} FROM placed
     WHERE $4::uuid IS NULL OR (place, id) > (SELECT place, id FROM placed WHERE id = $4)
     ORDER BY place, id LIMIT $3`,
    [messageId, tenantId, most + 1, afterId ?? null],
  );
  const page = rows.slice(0, most);
  const nextAfterId = rows.length > most ? page.at(-1)?.id : undefined;
  return { attempts: page.toSorted((a, b) => (a.id < b.id ? -1 : 1)), nextAfterId };
}
