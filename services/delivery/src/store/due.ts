// The queue's tables: ledger, due, ready. Everything that puts rows in, hands them to a pod and takes them back. Each function is one
// transaction; the invariant they share: a ready row's next_due_at is never later than the next_due_at of any unclaimed due row of its
// pair. Who adds or frees due rows therefore updates ready after them in the same transaction; who raises next_due_at (a claim) locks the
// ready row first and looks at due in a later statement, so that it sees every row whose writer has let go of that lock.
import type { Database } from '@maildoot/db/database';
import type { PoolClient } from 'pg';
import { unresolvedPrefix } from '../route.ts';

/** A recipient in the queue. Ids are the database's uuids. */
export interface DueRow {
  messageId: string;
  recipientNumber: number;
  tenantId: string;
  address: string;
  domain: string;
  destination: string;
  mailFrom: string;
  signingDomain: string;
  captured: boolean;
  sizeBytes: number;
  /** The content has marks where this recipient's own links go. */
  personal: boolean;
  /** The number of the attempt that holds the row; counted up by the claim, before anything is sent. */
  attempt: number;
  /** The number of the claim, which is never used again: an attempt's number is, when the attempt was not made. */
  claims: number;
  incarnation: string;
  possibleDuplicate: boolean;
  queuedAt: Date;
  /** Since when it could have been claimed. */
  dueAt: Date;
  claimedAt: Date;
  /** The address came onto a list of its tenant lately: messaging is to be asked before anything is sent. */
  listed: boolean;
  traceparent: string | undefined;
}

/** What the consumer puts in. */
export interface NewDueRow {
  messageId: string;
  recipientNumber: number;
  tenantId: string;
  address: string;
  domain: string;
  /** Undefined: by the domain's route, or the domain's own destination until it has one. */
  destination: string | undefined;
  mailFrom: string;
  signingDomain: string;
  captured: boolean;
  sizeBytes: number;
  personal: boolean;
  nextDueAt: Date;
  queuedAt: Date;
  traceparent: string | undefined;
}

/** Which claim a pod holds; every write about it is fenced by all four. */
export interface Held {
  messageId: string;
  recipientNumber: number;
  incarnation: string;
  claims: number;
}

// Deadlocks: every statement below takes ready rows in the order (destination, tenant_id), compared by bytes, or skips locked ones.
export const upsertReady = `
  INSERT INTO ready (destination, tenant_id, next_due_at)
  SELECT destination, tenant_id, min(next_due_at) FROM freed GROUP BY destination, tenant_id ORDER BY destination, tenant_id
  ON CONFLICT (destination, tenant_id) DO UPDATE SET next_due_at = LEAST(ready.next_due_at, EXCLUDED.next_due_at)`;

/** Enqueues what the ledger has not seen. Answers how many rows were new. */
export async function enqueue(database: Database, rows: readonly NewDueRow[], now: Date): Promise<number> {
  if (rows.length === 0) return 0;
  const result = await database.pool.query<{ count: number }>({
    name: 'enqueue',
    text: `WITH incoming AS (
       SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bool[], $10::bigint[],
                            $11::timestamptz[], $12::timestamptz[], $13::text[], $16::bool[])
         AS t(message_id, recipient_number, tenant_id, address, domain, fixed_destination, mail_from, signing_domain, captured, size_bytes,
              next_due_at, queued_at, traceparent, personal)
     ), fresh AS (
       INSERT INTO ledger (message_id, recipient_number, tenant_id)
       SELECT DISTINCT message_id, recipient_number, tenant_id FROM incoming ORDER BY message_id, recipient_number
       ON CONFLICT DO NOTHING
       RETURNING message_id, recipient_number
     ), freed AS (
       INSERT INTO due (message_id, recipient_number, tenant_id, address, domain, destination, mail_from, signing_domain, captured, size_bytes,
                        next_due_at, queued_at, traceparent, personal)
       SELECT DISTINCT ON (i.message_id, i.recipient_number)
              i.message_id, i.recipient_number, i.tenant_id, i.address, i.domain, COALESCE(i.fixed_destination, r.destination, $14 || i.domain),
              i.mail_from, i.signing_domain, i.captured, i.size_bytes, i.next_due_at, i.queued_at, i.traceparent, i.personal
       FROM fresh JOIN incoming i USING (message_id, recipient_number) LEFT JOIN route r ON r.domain = i.domain AND r.expires_at > $15
       RETURNING destination, tenant_id, next_due_at
     ), woken AS (${upsertReady})
     SELECT count(*)::int AS count FROM freed`,
    values: [
      rows.map((row) => row.messageId),
      rows.map((row) => row.recipientNumber),
      rows.map((row) => row.tenantId),
      rows.map((row) => row.address),
      rows.map((row) => row.domain),
      rows.map((row) => row.destination ?? null),
      rows.map((row) => row.mailFrom),
      rows.map((row) => row.signingDomain),
      rows.map((row) => row.captured),
      rows.map((row) => row.sizeBytes),
      rows.map((row) => row.nextDueAt),
      rows.map((row) => row.queuedAt),
      rows.map((row) => row.traceparent ?? null),
      unresolvedPrefix,
      now,
      rows.map((row) => row.personal),
    ],
  });
  return result.rows[0]?.count ?? 0;
}

/** A pair that has something due. */
export interface ReadyPair {
  destination: string;
  tenantId: string;
  deficit: number;
}

/** How much of a pair to take, and the credit it has before that. */
export interface Share extends ReadyPair {
  take: number;
  credit: number;
}

export interface ClaimOptions {
  incarnation: string;
  now: Date;
  /** Destinations with no room in this pod. */
  full: readonly string[];
  /** Divides this claim among the pairs that are ready; see claim.ts. */
  share(pairs: readonly ReadyPair[]): Share[];
}

/** How many pairs a claim looks at. */
const pairsPerClaim = 64;

/** Takes due rows for a pod. The attempt is counted here, so it is written down before it is made. Empty when the incarnation is not alive any more. */
export async function claim(database: Database, options: ClaimOptions): Promise<DueRow[]> {
  return await database.transaction(async (client) => {
    // Locked against being declared dead until this claim is committed: rows must never belong to an incarnation that is gone.
    const alive = await client.query({
      name: 'claim-alive',
      text: `SELECT 1 FROM incarnation WHERE id = $1 AND heartbeat_at > now() - interval '10 seconds' FOR KEY SHARE`,
      values: [options.incarnation],
    });
    if (alive.rowCount === 0) return [];
    const pairs = await client.query<{ destination: string; tenant_id: string; deficit: number }>({
      name: 'claim-pairs',
      text: `SELECT r.destination, r.tenant_id, r.deficit FROM ready r
       WHERE r.next_due_at <= $1 AND r.destination < $2 AND r.destination <> ALL ($3::text[])
         AND NOT EXISTS (SELECT 1 FROM destination d WHERE d.name = r.destination AND d.back_off_until > $1)
       ORDER BY r.deficit DESC, r.last_claimed_at LIMIT ${pairsPerClaim} FOR UPDATE OF r SKIP LOCKED`,
      values: [options.now, unresolvedPrefix, options.full],
    });
    if (pairs.rows.length === 0) return [];
    const shares = options.share(
      pairs.rows.map((row) => ({ destination: row.destination, tenantId: row.tenant_id, deficit: row.deficit })),
    );
    const taken = shares.filter((share) => share.take > 0);
    const claimed = await client.query<RawDueRow>({
      name: 'claim-rows',
      text: `WITH pick AS (
         SELECT d.message_id, d.recipient_number
         FROM unnest($1::text[], $2::uuid[], $3::int[]) AS p(destination, tenant_id, take)
         CROSS JOIN LATERAL (
           SELECT message_id, recipient_number FROM due
           WHERE due.destination = p.destination AND due.tenant_id = p.tenant_id AND incarnation IS NULL AND next_due_at <= $4
           ORDER BY next_due_at, message_id, recipient_number LIMIT p.take FOR UPDATE SKIP LOCKED
         ) d
       )
       UPDATE due SET incarnation = $5, claimed_at = now(), attempt = attempt + 1, claims = claims + 1
       FROM pick WHERE due.message_id = pick.message_id AND due.recipient_number = pick.recipient_number
       RETURNING due.*, EXISTS (
         SELECT 1 FROM suppressed s WHERE s.tenant_id = due.tenant_id AND s.address = lower(due.address COLLATE "C")
       ) AS listed`,
      values: [
        taken.map((share) => share.destination),
        taken.map((share) => share.tenantId),
        taken.map((share) => share.take),
        options.now,
        options.incarnation,
      ],
    });
    const rows = claimed.rows.map(dueRow);
    // Deficit round robin: who emptied its queue keeps no credit, who was cut short by the budget keeps what was not served.
    const served = new Map<string, number>();
    for (const row of rows) served.set(pairKey(row), (served.get(pairKey(row)) ?? 0) + 1);
    await client.query({
      name: 'claim-ready',
      text: `UPDATE ready r SET deficit = CASE WHEN p.served < p.take THEN 0 ELSE p.credit - p.served END,
              last_claimed_at = CASE WHEN p.take > 0 THEN clock_timestamp() ELSE r.last_claimed_at END,
              next_due_at = COALESCE((SELECT min(d.next_due_at) FROM due d WHERE d.destination = r.destination AND d.tenant_id = r.tenant_id AND d.incarnation IS NULL), 'infinity')
       FROM unnest($1::text[], $2::uuid[], $3::int[], $4::int[], $5::int[]) AS p(destination, tenant_id, take, credit, served)
       WHERE r.destination = p.destination AND r.tenant_id = p.tenant_id`,
      values: [
        shares.map((share) => share.destination),
        shares.map((share) => share.tenantId),
        shares.map((share) => share.take),
        shares.map((share) => share.credit),
        shares.map((share) => served.get(pairKey(share)) ?? 0),
      ],
    });
    return rows.sort(byMessage);
  });
}

/** When the next row that may be claimed is due; undefined when there is none. */
export async function earliestDue(database: Database, full: readonly string[]): Promise<Date | undefined> {
  const result = await database.pool.query<{ at: Date | null }>(
    `SELECT min(GREATEST(r.next_due_at, d.back_off_until)) AS at FROM ready r LEFT JOIN destination d ON d.name = r.destination
     WHERE r.next_due_at < 'infinity' AND r.destination < $1 AND r.destination <> ALL ($2::text[])`,
    [unresolvedPrefix, full],
  );
  return result.rows[0]?.at ?? undefined;
}

/** Gives back rows whose attempt was not made: no event, and the attempt isn't counted. Fenced. */
export async function giveBack(database: Database, held: readonly Held[]): Promise<void> {
  if (held.length === 0) return;
  await database.pool.query(
    `WITH freed AS (
       UPDATE due d SET incarnation = NULL, claimed_at = NULL, attempt = d.attempt - 1
       FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[]) AS h(message_id, recipient_number, incarnation, claims)
       WHERE d.message_id = h.message_id AND d.recipient_number = h.recipient_number AND d.incarnation = h.incarnation AND d.claims = h.claims
       RETURNING d.destination, d.tenant_id, d.next_due_at
     )${upsertReady}`,
    fence(held),
  );
}

/** What the database thinks this pod holds, claimed longer ago than a claim's answer can take. */
export async function heldBy(database: Database, incarnation: string): Promise<Held[]> {
  const result = await database.pool.query<{ message_id: string; recipient_number: number; claims: number }>(
    `SELECT message_id, recipient_number, claims FROM due WHERE incarnation = $1 AND claimed_at < now() - interval '5 seconds'`,
    [incarnation],
  );
  return result.rows.map((row) => ({
    messageId: row.message_id,
    recipientNumber: row.recipient_number,
    incarnation,
    claims: row.claims,
  }));
}

/** Moves waiting rows of some destinations to another one (a domain was resolved, the mode has changed). In batches; answers how many. */
export async function moveDestination(database: Database, from: string, to: string, limit: number): Promise<number> {
  return await database.transaction(async (client) => {
    const result = await client.query(
      `WITH pick AS (
         SELECT message_id, recipient_number FROM due WHERE destination = $1 AND incarnation IS NULL
         ORDER BY message_id, recipient_number LIMIT $3 FOR UPDATE SKIP LOCKED
       ), freed AS (
         UPDATE due SET destination = $2 FROM pick WHERE due.message_id = pick.message_id AND due.recipient_number = pick.recipient_number
         RETURNING due.destination, due.tenant_id, due.next_due_at
       ), woken AS (${upsertReady})
       SELECT count(*)::int AS count FROM freed`,
      [from, to, limit],
    );
    const moved = (result.rows[0] as { count: number } | undefined)?.count ?? 0;
    if (moved < limit) await settleReady(client, from);
    return moved;
  });
}

// Sets the next due time of a destination's pairs anew. The locks come first, in a statement of their own: see the file's head.
async function settleReady(client: PoolClient, destination: string): Promise<void> {
  await client.query('SELECT 1 FROM ready WHERE destination = $1 ORDER BY destination, tenant_id FOR UPDATE', [destination]);
  await client.query(
    `UPDATE ready r SET next_due_at = COALESCE(
       (SELECT min(d.next_due_at) FROM due d WHERE d.destination = r.destination AND d.tenant_id = r.tenant_id AND d.incarnation IS NULL), 'infinity')
     WHERE r.destination = $1`,
    [destination],
  );
}

/** Destinations whose domain was not resolved when their rows came, with something due. */
export async function unresolvedDestinations(database: Database, now: Date, limit: number): Promise<string[]> {
  const result = await database.pool.query<{ destination: string }>(
    'SELECT DISTINCT destination FROM ready WHERE destination >= $1 AND next_due_at <= $2 LIMIT $3',
    [unresolvedPrefix, now, limit],
  );
  return result.rows.map((row) => row.destination);
}

/** Destinations that waiting rows have, with the rows' domain where it says nothing by itself. */
export async function waitingDestinations(database: Database): Promise<string[]> {
  const result = await database.pool.query<{ destination: string }>(
    "SELECT DISTINCT destination FROM ready WHERE next_due_at < 'infinity'",
  );
  return result.rows.map((row) => row.destination);
}

/** Puts waiting rows that go by MX into their domains' own destinations, to be resolved. Captured ones stay. Answers how many. */
export async function unresolve(database: Database, from: string, limit: number): Promise<number> {
  return await database.transaction(async (client) => {
    const result = await client.query<{ count: number }>(
      `WITH pick AS (
         SELECT message_id, recipient_number FROM due WHERE destination = $1 AND incarnation IS NULL AND NOT captured
         ORDER BY message_id, recipient_number LIMIT $3 FOR UPDATE SKIP LOCKED
       ), freed AS (
         UPDATE due SET destination = $2 || domain FROM pick WHERE due.message_id = pick.message_id AND due.recipient_number = pick.recipient_number
         RETURNING due.destination, due.tenant_id, due.next_due_at
       ), woken AS (${upsertReady})
       SELECT count(*)::int AS count FROM freed`,
      [from, unresolvedPrefix, limit],
    );
    const moved = result.rows[0]?.count ?? 0;
    if (moved < limit) await settleReady(client, from);
    return moved;
  });
}

/** Forgets pairs that have had nothing waiting for a while. */
export async function forgetIdlePairs(database: Database): Promise<void> {
  await database.pool.query("DELETE FROM ready WHERE next_due_at = 'infinity' AND last_claimed_at < now() - interval '10 minutes'");
}

/** The oldest message that still has a recipient in the queue. */
export async function oldestDueMessage(database: Database): Promise<string | undefined> {
  const result = await database.pool.query<{ message_id: string }>('SELECT message_id FROM due ORDER BY message_id LIMIT 1');
  return result.rows[0]?.message_id;
}

/** The four arrays that fence a write, for unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[]). */
export function fence(held: readonly Held[]): [string[], number[], string[], number[]] {
  return [
    held.map((one) => one.messageId),
    held.map((one) => one.recipientNumber),
    held.map((one) => one.incarnation),
    held.map((one) => one.claims),
  ];
}

export interface RawDueRow {
  message_id: string;
  recipient_number: number;
  tenant_id: string;
  address: string;
  domain: string;
  destination: string;
  mail_from: string;
  signing_domain: string;
  captured: boolean;
  size_bytes: string;
  attempt: number;
  claims: number;
  incarnation: string;
  claimed_at: Date;
  possible_duplicate: boolean;
  queued_at: Date;
  next_due_at: Date;
  traceparent: string | null;
  personal: boolean;
  /** Of a claim's own rows only. */
  listed?: boolean;
}

export function dueRow(raw: RawDueRow): DueRow {
  return {
    messageId: raw.message_id,
    recipientNumber: raw.recipient_number,
    tenantId: raw.tenant_id,
    address: raw.address,
    domain: raw.domain,
    destination: raw.destination,
    mailFrom: raw.mail_from,
    signingDomain: raw.signing_domain,
    captured: raw.captured,
    sizeBytes: Number(raw.size_bytes),
    personal: raw.personal,
    attempt: raw.attempt,
    claims: raw.claims,
    incarnation: raw.incarnation,
    possibleDuplicate: raw.possible_duplicate,
    queuedAt: raw.queued_at,
    dueAt: raw.next_due_at,
    claimedAt: raw.claimed_at,
    listed: raw.listed ?? false,
    traceparent: raw.traceparent ?? undefined,
  };
}

function pairKey(pair: { destination: string; tenantId: string }): string {
  return `${pair.destination}\n${pair.tenantId}`;
}

function byMessage(left: DueRow, right: DueRow): number {
  if (left.messageId !== right.messageId) return left.messageId < right.messageId ? -1 : 1;
  return left.recipientNumber - right.recipientNumber;
}
