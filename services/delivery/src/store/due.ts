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

// Less than every tenant's.
const firstTenant = '00000000-0000-0000-0000-000000000000';

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
}

/** How much of a pair to take. */
export interface Share extends ReadyPair {
  take: number;
}

/** Where the look over tenants goes on, so that each has its turn however many they are. */
export class Rotation {
  /** The last one that was looked at; claims go on behind it. */
  after = firstTenant;
}

export interface ClaimOptions {
  incarnation: string;
  now: Date;
  /** Destinations with no room in this pod. */
  full: readonly string[];
  rotation: Rotation;
  /** Divides this claim among the pairs that are ready; see claim.ts. */
  share(pairs: readonly ReadyPair[]): Share[];
}

/** How many pairs a claim looks at, all tenants together, but one of each at least. */
const pairsPerClaim = 64;
const tenantsPerClaim = 128;
/** So many times a claim looks at the next tenants when none of them has anything for it: they may all be suspended. */
const looksPerClaim = 8;

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
    const pairs = await readyPairs(client, options);
    if (pairs.length === 0) return [];
    const shares = options.share(pairs);
    const taken = shares.filter((share) => share.take > 0);
    if (taken.length === 0) return [];
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
       ) OR (octet_length(due.address) > char_length(due.address) AND EXISTS (
         SELECT 1 FROM suppressed s WHERE s.tenant_id = due.tenant_id
       )) AS listed`,
      values: [
        taken.map((share) => share.destination),
        taken.map((share) => share.tenantId),
        taken.map((share) => share.take),
        options.now,
        options.incarnation,
      ],
    });
    const rows = claimed.rows.map(dueRow);
    await client.query({
      name: 'claim-ready',
      text: `UPDATE ready r SET last_claimed_at = clock_timestamp(),
              next_due_at = COALESCE((SELECT min(d.next_due_at) FROM due d WHERE d.destination = r.destination AND d.tenant_id = r.tenant_id AND d.incarnation IS NULL), 'infinity')
       FROM unnest($1::text[], $2::uuid[]) AS p(destination, tenant_id)
       WHERE r.destination = p.destination AND r.tenant_id = p.tenant_id`,
      values: [taken.map((share) => share.destination), taken.map((share) => share.tenantId)],
    });
    return rows.sort(byMessage);
  });
}

// What a claim may look at and what the resolver has to: each has its index by tenant and due time, ready_claimable and ready_unresolved.
export const claimable = `destination < '${unresolvedPrefix}' AND next_due_at < 'infinity'`;
export const unresolved = `destination >= '${unresolvedPrefix}' AND next_due_at < 'infinity'`;

/** A recursive query `waiting (tenant_id, number)`: the tenants that have such pairs, by jumping from one to the next in the index. */
function tenantsWith(pairs: string, after: string, limit: number | undefined): string {
  return `waiting (tenant_id, number) AS (
      (SELECT tenant_id, 1 FROM ready WHERE ${pairs} AND tenant_id > ${after} ORDER BY tenant_id LIMIT 1)
      UNION ALL
      SELECT following.tenant_id, w.number + 1 FROM waiting w CROSS JOIN LATERAL (
        SELECT tenant_id FROM ready WHERE ${pairs} AND tenant_id > w.tenant_id ORDER BY tenant_id LIMIT 1
      ) following${limit === undefined ? '' : ` WHERE w.number < ${limit}`}
    )`;
}

/**
 * Pairs that are due, locked: of each tenant its share of 64, those that wait longest first; of a suspended one none. Costs what the tenants
 * that wait cost, and not what their rows and destinations would.
 */
async function readyPairs(client: PoolClient, options: ClaimOptions): Promise<ReadyPair[]> {
  const { rotation } = options;
  const start = rotation.after;
  let isAround = start === firstTenant;
  for (let looks = 1; ; looks++) {
    const before = rotation.after;
    const found = await client.query<{ tenant_id: string; destination: string | null }>({
      name: 'claim-pairs',
      text: `WITH RECURSIVE ${tenantsWith(claimable, '$3', tenantsPerClaim)}, tenant AS MATERIALIZED (
         SELECT w.tenant_id, w.number, NOT EXISTS (SELECT FROM suspended_tenant s WHERE s.tenant_id = w.tenant_id) AND COALESCE((
           SELECT true FROM ready WHERE ${claimable} AND tenant_id = w.tenant_id AND next_due_at <= $1 AND destination <> ALL ($2::text[]) LIMIT 1
         ), false) AS is_due FROM waiting w
       )
       SELECT t.tenant_id, r.destination FROM tenant t LEFT JOIN LATERAL (
         SELECT destination FROM ready
         WHERE t.is_due AND ${claimable} AND tenant_id = t.tenant_id AND next_due_at <= $1 AND destination <> ALL ($2::text[])
           AND NOT EXISTS (SELECT 1 FROM destination d WHERE d.name = ready.destination AND d.back_off_until > $1)
         ORDER BY next_due_at LIMIT (SELECT ${pairsPerClaim} / greatest(1, least(${pairsPerClaim}, count(*))) FROM tenant WHERE is_due)
         FOR UPDATE OF ready SKIP LOCKED
       ) r ON true
       ORDER BY t.number`,
      values: [options.now, options.full, before],
    });
    const tenants = new Set(found.rows.map((row) => row.tenant_id));
    rotation.after = tenants.size < tenantsPerClaim ? firstTenant : (found.rows.at(-1)?.tenant_id ?? firstTenant);
    const pairs = found.rows.flatMap((row) =>
      row.destination === null ? [] : [{ destination: row.destination, tenantId: row.tenant_id }],
    );
    const isEnd = rotation.after === firstTenant;
    // All were looked at, once round from where it started.
    const isAll = isAround && (isEnd || (start !== firstTenant && rotation.after >= start));
    if (pairs.length > 0 || isAll || looks === looksPerClaim) return pairs;
    isAround ||= isEnd;
  }
}

/** When the next row that may be claimed is due; undefined when there is none. May be too early where a destination backs off. */
export async function earliestDue(database: Database, full: readonly string[], now: Date): Promise<Date | undefined> {
  const result = await database.pool.query<{ at: Date | null }>({
    name: 'earliest-due',
    text: `WITH RECURSIVE ${tenantsWith(claimable, `'${firstTenant}'`, undefined)}
     SELECT LEAST(min(r.next_due_at), (SELECT min(back_off_until) FROM destination WHERE back_off_until > $2)) AS at
     FROM waiting w CROSS JOIN LATERAL (
       SELECT next_due_at FROM ready WHERE ${claimable} AND tenant_id = w.tenant_id AND destination <> ALL ($1::text[])
         AND NOT EXISTS (SELECT 1 FROM destination d WHERE d.name = ready.destination AND d.back_off_until > $2)
       ORDER BY next_due_at LIMIT 1
     ) r WHERE NOT EXISTS (SELECT FROM suspended_tenant s WHERE s.tenant_id = w.tenant_id)`,
    values: [full, now],
  });
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

/** Does the same for some pairs, in a transaction of its own. Answers how many have another time now. */
export async function settlePairs(database: Database, pairs: readonly ReadyPair[]): Promise<number> {
  const values = [pairs.map((pair) => pair.destination), pairs.map((pair) => pair.tenantId)];
  return await database.transaction(async (client) => {
    await client.query(
      `SELECT 1 FROM unnest($1::text[], $2::uuid[]) AS p(destination, tenant_id)
       JOIN ready r ON r.destination = p.destination AND r.tenant_id = p.tenant_id
       ORDER BY r.destination, r.tenant_id FOR UPDATE OF r`,
      values,
    );
    const settled = await client.query(
      `UPDATE ready r SET next_due_at = earliest.at
       FROM unnest($1::text[], $2::uuid[]) AS p(destination, tenant_id) CROSS JOIN LATERAL (
         SELECT COALESCE(min(d.next_due_at), 'infinity') AS at FROM due d
         WHERE d.destination = p.destination AND d.tenant_id = p.tenant_id AND d.incarnation IS NULL
       ) earliest
       WHERE r.destination = p.destination AND r.tenant_id = p.tenant_id AND r.next_due_at <> earliest.at`,
      values,
    );
    return settled.rowCount ?? 0;
  });
}

/**
 * Destinations whose domain was not resolved when their rows came, with something due, and whose rows those are: tenants take turns, and of
 * each those that wait longest are first.
 */
export async function unresolvedDestinations(
  database: Database,
  now: Date,
  limits: { perTenant: number; except: readonly string[] },
): Promise<ReadyPair[]> {
  const result = await database.pool.query<{ destination: string; tenant_id: string }>({
    name: 'unresolved',
    text: `WITH RECURSIVE ${tenantsWith(unresolved, `'${firstTenant}'`, undefined)}
     SELECT r.destination, w.tenant_id FROM waiting w CROSS JOIN LATERAL (
       SELECT destination, row_number() OVER (ORDER BY next_due_at) AS turn FROM (
         SELECT destination, next_due_at FROM ready
         WHERE ${unresolved} AND tenant_id = w.tenant_id AND next_due_at <= $1 AND destination <> ALL ($2::text[])
         ORDER BY next_due_at LIMIT $3
       ) oldest
     ) r ORDER BY r.turn`,
    values: [now, limits.except, limits.perTenant],
  });
  return result.rows.map((row) => ({ destination: row.destination, tenantId: row.tenant_id }));
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

function byMessage(left: DueRow, right: DueRow): number {
  if (left.messageId !== right.messageId) return left.messageId < right.messageId ? -1 : 1;
  return left.recipientNumber - right.recipientNumber;
}
