// The tables of the feed: telling which events there are, giving them positions, and reading along the positions.
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import { byteaArray, integerArray, smallintArray, textArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';
import type { EventKey } from '../feed.ts';

const placedPollMs = 10;

/** Some events of one tenant, to be told. */
export interface FeedRow {
  tenantId: string;
  size: number;
  /** See feed.ts. */
  entries: Uint8Array;
}

/**
 * Tells which events the caller's transaction has inserted. Call it behind the locks that order two transactions about the same message:
 * the order of calls is the order in the feed. The CASE makes a transaction take its xid before its first serial; see `sequence`.
 */
export async function tellFeed(client: pg.ClientBase, rows: readonly FeedRow[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query({
    name: 'tell-feed',
    text: `
      INSERT INTO feed_pending (serial, tenant_id, size, entries)
      SELECT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('feed_serial') END, tenant_id, size, entries
      FROM unnest($1::uuid[], $2::smallint[], $3::bytea[]) AS told (tenant_id, size, entries)`,
    values: [
      uuidArray(rows.map((row) => row.tenantId)),
      smallintArray(rows.map((row) => row.size)),
      byteaArray(rows.map((row) => row.entries)),
    ],
  });
}

// ── giving positions ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Whether something waits for its position behind this serial. */
export async function isPending(pool: pg.Pool, bound: bigint): Promise<boolean> {
  const { rows } = await pool.query<{ pending: boolean }>({
    name: 'feed-pending',
    text: 'SELECT EXISTS (SELECT FROM feed_pending WHERE serial > $1) AS pending',
    values: [String(bound)],
  });
  return rows[0]!.pending;
}

export interface Sequenced {
  /** How many rows got their position. */
  rows: number;
  events: number;
  tenantIds: string[];
  /** The last serial that had been given out before this transaction took its xid. */
  serialBefore: bigint;
  xid: bigint;
  /** All transactions below this one have ended. */
  oldestRunningXid: bigint;
}

/**
 * Gives positions to what is pending behind `bound`, in the order in which it was told, none below `floor`. All in one transaction under
 * the lock that makes the sequencer the only one: positions become visible in their order, because the next holder starts after this
 * commit. A process that stops in the middle loses connection, transaction and lock within two seconds, and nothing has happened.
 */
export async function sequence(database: Database, bound: bigint, floor: bigint, most: number): Promise<Sequenced> {
  return await database.transaction(async (client) => {
    const before = await client.query<{ serial: string }>({ name: 'feed-lock', text: lockSql });
    const { rows } = await client.query<RawSequenced>({
      name: 'feed-sequence',
      text: sequenceSql,
      values: [String(bound), String(floor), most],
    });
    const pass = rows[0]!;
    return {
      rows: pass.rows,
      events: pass.events,
      tenantIds: pass.tenant_ids,
      serialBefore: BigInt(before.rows[0]!.serial),
      xid: BigInt(pass.xid),
      oldestRunningXid: BigInt(pass.xmin),
    };
  });
}

interface RawSequenced {
  rows: number;
  events: number;
  tenant_ids: string[];
  xid: string;
  xmin: string;
}

// The settings hold for this transaction: a holder that is stopped gives way; the table is mostly empty when plans are made, and full of
// dead rows while a backup keeps its snapshot. A sequence that was never asked says 1, like one that was asked once.
const lockSql = `
  SELECT set_config('idle_in_transaction_session_timeout', '2000', true), set_config('lock_timeout', '5000', true),
         set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true),
         pg_advisory_xact_lock(hashtextextended('feed ' || 'feed_pending'::regclass::oid, 0)),
         (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM feed_serial)::text AS serial`;

// A process whose clock is far ahead must not take the positions there: no partition would have room for them, and setval isn't rolled back.
const sequenceSql = `
  WITH taken AS (
    DELETE FROM feed_pending
    WHERE serial = ANY(ARRAY(SELECT serial FROM feed_pending WHERE serial > $1 ORDER BY serial LIMIT $3))
    RETURNING serial, tenant_id, size, entries
  ), counted AS (
    SELECT count(*)::int AS rows, coalesce(sum(size), 0)::int AS events FROM taken
  ), head AS MATERIALIZED (
    SELECT setval('feed_seq', greatest(feed_seq.last_value, least($2::bigint, latest.seq)) + counted.events) - counted.events AS seq
    FROM feed_seq, counted, (SELECT (extract(epoch FROM clock_timestamp() + interval '1 day') * 1000)::bigint << 10 AS seq) AS latest
    WHERE counted.events > 0
  ), placed AS (
    INSERT INTO feed (tenant_id, last_seq, at, size, entries)
    SELECT tenant_id, last_seq, to_timestamp((last_seq >> 10) / 1000.0), size, entries
    FROM (SELECT taken.*, head.seq + sum(taken.size) OVER (ORDER BY taken.serial) AS last_seq FROM taken, head) AS numbered
    RETURNING tenant_id
  )
  SELECT counted.rows, counted.events, ARRAY(SELECT DISTINCT tenant_id::text FROM placed) AS tenant_ids,
         pg_current_xact_id()::text AS xid, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin
  FROM counted`;

/**
 * Waits until all that was told before has its place; a sequencer runs in every process, so that is soon. False: not within this time. Who
 * then asks for the place up to which feeds go has everything of before in front of it, and nothing of it behind. `bound` is the sequencer's:
 * it looks behind it alone, because while a backup keeps its snapshot everything that was moved is in its way.
 */
export async function everythingPlaced(pool: pg.Pool, bound: () => bigint, withinMs: number): Promise<boolean> {
  const { rows } = await pool.query<{ last: string | null }>('SELECT max(serial)::text AS last FROM feed_pending WHERE serial > $1', [
    String(bound()),
  ]);
  const last = rows[0]?.last ?? undefined;
  if (last === undefined) return true;
  for (const until = performance.now() + withinMs; performance.now() < until; await delay(placedPollMs)) {
    const left = await pool.query<{ left: boolean }>(
      'SELECT EXISTS (SELECT FROM feed_pending WHERE serial > $1 AND serial <= $2) AS left',
      [String(bound()), last],
    );
    if (left.rows[0]?.left === false) return true;
  }
  return false;
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Segment {
  lastSeq: bigint;
  size: number;
  entries: Buffer;
}

/** The rows behind a position, at most as many as hold this number of events. `since` is the time in the position. */
export async function readSegments(
  on: Pick<pg.Pool | pg.PoolClient, 'query'>,
  from: { tenantId: string; after: bigint; since: Date; events: number },
): Promise<Segment[]> {
  const { rows } = await on.query<{ last_seq: string; size: number; entries: Buffer }>({
    name: 'feed-segments',
    text: `
      SELECT last_seq::text, size, entries
      FROM (
        SELECT first.*, sum(behind) OVER (ORDER BY last_seq) - behind AS events_before
        FROM (
          SELECT last_seq, size, entries, least(size, last_seq - $2) AS behind FROM feed
          WHERE tenant_id = $1 AND last_seq > $2 AND at >= $3
          ORDER BY last_seq LIMIT $4
        ) AS first
      ) AS counted
      WHERE events_before < $4
      ORDER BY last_seq`,
    values: [from.tenantId, String(from.after), from.since, from.events],
  });
  return rows.map((row) => ({ lastSeq: BigInt(row.last_seq), size: row.size, entries: row.entries }));
}

/** An event with what its message says about it. */
export interface FeedEventRow {
  /** Its place among the keys asked for. */
  number: number;
  /** Null: about no message. */
  messageId: string | null;
  id: string;
  type: string;
  at: Date;
  detail: Buffer;
  /** Undefined = about the message as a whole. */
  email: string | undefined;
  batchId: string | null;
  tags: string[];
  metadata: Record<string, string>;
  /** Of one that is about no message. */
  dataJson: Buffer | undefined;
}

/** Stands in the feed where a recipient's number would: what stands in the message's place is the id of an event of the tenant. */
export const noMessage = -2;

type Queryable = Pick<pg.Pool | pg.PoolClient, 'query'>;

/** The tenant's events of these keys, in order, but for those that are gone with their message. */
export async function readEvents(on: Queryable, tenantId: string, keys: readonly EventKey[]): Promise<FeedEventRow[]> {
  const numbered = keys.map((key, number) => ({ ...key, number }));
  const own = numbered.filter((key) => key.recipientNumber === noMessage);
  const ofMessages = numbered.filter((key) => key.recipientNumber !== noMessage);
  const rows = await readMessageEvents(on, tenantId, ofMessages);
  if (own.length === 0) return rows;
  return [...rows, ...(await readTenantEvents(on, tenantId, own))].sort((a, b) => a.number - b.number);
}

type Numbered = EventKey & { number: number };

async function readTenantEvents(on: Queryable, tenantId: string, keys: readonly Numbered[]): Promise<FeedEventRow[]> {
  const { rows } = await on.query<{ number: number; id: string; type: string; at: Date; data: Buffer }>({
    name: 'feed-tenant-events',
    text: `
      SELECT wanted.number, e.id, e.type, e.at, e.data FROM unnest($2::uuid[], $3::int[]) AS wanted (id, number)
      JOIN tenant_event e ON e.id = wanted.id AND e.tenant_id = $1`,
    values: [tenantId, uuidArray(keys.map((key) => key.messageId)), integerArray(keys.map((key) => key.number))],
  });
  return rows.map(({ data, ...row }) => ({
    ...row,
    messageId: null,
    detail: Buffer.alloc(0),
    email: undefined,
    batchId: null,
    tags: [],
    metadata: {},
    dataJson: data,
  }));
}

async function readMessageEvents(on: Queryable, tenantId: string, keys: readonly Numbered[]): Promise<FeedEventRow[]> {
  if (keys.length === 0) return [];
  const ids = keys.map((key) => key.messageId);
  // Bounds on the key leave the partitions that hold these messages; a join alone would look into every one.
  const sorted = ids.toSorted();
  const { rows } = await on.query<FeedEventRow & { email: string | null }>({
    name: 'feed-events',
    text: `
      SELECT wanted.number, e.message_id AS "messageId", e.id, e.type, e.at, e.detail, r.email,
             m.batch_id AS "batchId", m.tags, m.metadata
      FROM unnest($2::uuid[], $3::smallint[], $4::smallint[], $5::text[], $8::int[])
        AS wanted (message_id, recipient_number, attempt, type, number)
      JOIN message_event e ON e.message_id = wanted.message_id AND e.recipient_number = wanted.recipient_number
        AND e.attempt = wanted.attempt AND e.type = wanted.type AND e.tenant_id = $1 AND e.message_id BETWEEN $6 AND $7
      JOIN message m ON m.id = wanted.message_id AND m.tenant_id = $1 AND m.id BETWEEN $6 AND $7
      LEFT JOIN recipient r ON r.message_id = wanted.message_id AND r.number = wanted.recipient_number AND r.message_id BETWEEN $6 AND $7
      ORDER BY wanted.number`,
    values: [
      tenantId,
      uuidArray(ids),
      smallintArray(keys.map((key) => key.recipientNumber)),
      smallintArray(keys.map((key) => key.attempt)),
      textArray(keys.map((key) => key.type)),
      sorted[0],
      sorted.at(-1),
      integerArray(keys.map((key) => key.number)),
    ],
  });
  return rows.map((row) => ({ ...row, email: row.email ?? undefined, dataJson: undefined }));
}

/** Those of the tenants that have something behind the position they are asked with. */
export async function tenantsWithNews(
  pool: pg.Pool,
  waiting: readonly { tenantId: string; after: bigint }[],
  since: Date,
): Promise<Set<string>> {
  const { rows } = await pool.query<{ tenant_id: string }>({
    name: 'feed-news',
    text: `
      SELECT w.tenant_id FROM unnest($1::uuid[], $2::bigint[]) AS w (tenant_id, after)
      WHERE EXISTS (SELECT FROM feed AS f WHERE f.tenant_id = w.tenant_id AND f.last_seq > w.after AND f.at >= $3)`,
    values: [waiting.map((one) => one.tenantId), waiting.map((one) => String(one.after)), since],
  });
  return new Set(rows.map((row) => row.tenant_id));
}
