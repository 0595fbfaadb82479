// Idempotency records: the answer to a POST is stored in the transaction that has its effect, under (tenant, operation, key), and the
// same request gets the same answer for 24 hours.
//
//   1. findRecords, before any work: answers what is settled already.
//   2. claim, in the transaction: whoever holds the advisory lock of a key is the one that runs; nobody waits for it.
//   3. store, in the same transaction.
//
// Whoever has the answer ready before the claim may do it all in the one statement that has the effect: take `lockOf` with
// pg_try_advisory_xact_lock, insert the record ON CONFLICT DO NOTHING, and have the effect only where the record was inserted. The lock
// keeps away those who would have to be waited for, and the conflict sees what was committed after the statement's snapshot.
//
// Batches throughout: a group commit claims and stores the keys of many requests in one statement each.
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { byteaArray } from './parameters.ts';

export const idempotencyLifetimeMs = 24 * 60 * 60 * 1000;

export interface IdempotencyRequest {
  /** uuid */
  tenantId: string;
  /** What the key is a key of, `create_message`; the same key under another operation is another key. */
  operation: string;
  key: string;
  /** `requestHash` of what was asked. */
  requestHash: Uint8Array;
}

export type IdempotencyFinding =
  /** No record that is still valid. */
  | { outcome: 'absent' }
  /** The stored answer, to be given again. */
  | { outcome: 'replay'; response: Buffer; createdAt: Date }
  /** The key was used for another request. */
  | { outcome: 'mismatch' };

export type IdempotencyClaim =
  /** The caller holds the key until its transaction ends: have the effect, then `store` the answer. */
  | { outcome: 'claimed' }
  | Exclude<IdempotencyFinding, { outcome: 'absent' }>
  /** The same key is being worked on, here or elsewhere. */
  | { outcome: 'in_progress' };

type Queryable = Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>;

export function requestHash(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  // Each part is hashed with its length, so that ('ab', 'c') and ('a', 'bc') differ.
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest();
}

/** One finding per request, in their order. Outside of a transaction; what is absent now may have been stored by the time of `claim`. */
export async function findRecords(on: Queryable, requests: IdempotencyRequest[], now = new Date()): Promise<IdempotencyFinding[]> {
  if (requests.length === 0) return [];
  const { rows } = await on.query<{ position: number; request_hash: Buffer; response: Buffer; created_at: Date }>(
    `SELECT asked.position::int, request_hash, response, created_at
       FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS asked(tenant_id, operation, key, position)
       JOIN idempotency_record USING (tenant_id, operation, key)
      WHERE expires_at > $4`,
    [...columns(requests), now],
  );
  const findings: IdempotencyFinding[] = requests.map(() => ({ outcome: 'absent' }));
  for (const row of rows) {
    const index = row.position - 1;
    findings[index] = row.request_hash.equals(requests[index]!.requestHash)
      ? { outcome: 'replay', response: row.response, createdAt: row.created_at }
      : { outcome: 'mismatch' };
  }
  return findings;
}

export async function findRecord(on: Queryable, request: IdempotencyRequest, now = new Date()): Promise<IdempotencyFinding> {
  const [finding] = await findRecords(on, [request], now);
  return finding!;
}

/**
 * One claim per request, in their order; in a READ COMMITTED transaction, once per key and transaction. Of several requests with
 * one key the first gets it. Two statements on purpose: the records are read with a snapshot taken after the locks were had, else the
 * one that just committed and let its lock go would be overlooked.
 */
export async function claim(client: pg.PoolClient, requests: IdempotencyRequest[], now = new Date()): Promise<IdempotencyClaim[]> {
  if (requests.length === 0) return [];
  const lockKeys = requests.map((request) => lockOf(request).toString());
  const wanted = [...new Set(lockKeys)].sort();
  const { rows } = await client.query<{ key: string; had: boolean }>(
    'SELECT key::text, pg_try_advisory_xact_lock(key) AS had FROM unnest($1::bigint[]) AS key',
    [wanted],
  );
  const had = new Set(rows.filter((row) => row.had).map((row) => row.key));
  const findings = await findRecords(client, requests, now);
  const taken = new Set<string>();
  return findings.map((finding, index): IdempotencyClaim => {
    if (finding.outcome !== 'absent') return finding;
    const key = lockKeys[index]!;
    if (!had.has(key) || taken.has(key)) return { outcome: 'in_progress' };
    taken.add(key);
    return { outcome: 'claimed' };
  });
}

/** Stores the answers of claimed requests, in the transaction that claimed them. Seal a response that shows a secret once. */
export async function store(
  client: pg.PoolClient,
  answers: (IdempotencyRequest & { response: Uint8Array })[],
  now = new Date(),
): Promise<void> {
  if (answers.length === 0) return;
  // Rows are locked in one order everywhere, though the claim already keeps others away.
  const sorted = answers.toSorted((a, b) => compare(a.tenantId, b.tenantId) || compare(a.operation, b.operation) || compare(a.key, b.key));
  const { rowCount } = await client.query(
    `INSERT INTO idempotency_record (tenant_id, operation, key, request_hash, response, created_at, expires_at)
     SELECT tenant_id, operation, key, request_hash, response, $6, $7
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) AS new(tenant_id, operation, key, request_hash, response)
     ON CONFLICT (tenant_id, operation, key) DO UPDATE
       SET request_hash = excluded.request_hash, response = excluded.response, created_at = excluded.created_at, expires_at = excluded.expires_at
       WHERE idempotency_record.expires_at <= excluded.created_at`,
    [
      ...columns(sorted),
      byteaArray(sorted.map((one) => one.requestHash)),
      byteaArray(sorted.map((one) => one.response)),
      now,
      new Date(now.getTime() + idempotencyLifetimeMs),
    ],
  );
  if (rowCount !== answers.length) throw new Error('an idempotency record was stored without a claim: its key has one already');
}

/** Deletes what has expired, in batches so that no transaction is long. Returns how many. */
export async function expire(pool: pg.Pool, now = new Date(), batchSize = 1000): Promise<number> {
  let deleted = 0;
  for (;;) {
    const { rowCount } = await pool.query(
      `DELETE FROM idempotency_record WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM idempotency_record WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))`,
      [now, batchSize],
    );
    deleted += rowCount ?? 0;
    if ((rowCount ?? 0) < batchSize) return deleted;
  }
}

function columns(requests: IdempotencyRequest[]): [string[], string[], string[]] {
  return [requests.map((one) => one.tenantId), requests.map((one) => one.operation), requests.map((one) => one.key)];
}

/**
 * The advisory lock of a key: 64 bits of a hash as the signed number that PostgreSQL takes; the operation keeps the services apart, which
 * share one lock space.
 */
export function lockOf({ tenantId, operation, key }: Omit<IdempotencyRequest, 'requestHash'>): bigint {
  return requestHash('idempotency', tenantId.toLowerCase(), operation, key).readBigInt64BE();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
