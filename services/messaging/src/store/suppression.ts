// The table of suppressions. Every statement has the tenant in its condition.
import { integerArray, smallintArray, textArray, uuidArray } from '@maildoot/db/parameters';
import { appendOutbox } from '@maildoot/events/outbox';
import { addressSuppressed } from '@maildoot/events/topics';
import { AddressSuppressedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import type { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { foldedAddress, type SuppressionHit } from '../suppression.ts';

type Queryable = Pick<pg.Pool, 'query'> | Pick<pg.ClientBase, 'query'>;

export interface SuppressionRow {
  id: string;
  email: string;
  stream: string;
  reason: number;
  messageId: string | null;
}

export interface NewSuppressionRow {
  tenantId: string;
  email: string;
  stream: string;
  reason: number;
  messageId: string | null;
}

/** Which of these addresses are on the tenant's list, under which name: one entry per item of `asked`, undefined = none. */
export async function findHits(
  on: Queryable,
  tenantId: string,
  asked: readonly { address: string; stream: string }[],
): Promise<(SuppressionHit | undefined)[]> {
  if (asked.length === 0) return [];
  const { rows } = await on.query<{ position: number; stream: string; reason: SuppressionReason }>({
    name: 'suppression-hits',
    text: `SELECT asked.position, s.stream, s.reason
           FROM unnest($2::int[], $3::text[], $4::text[]) AS asked (position, address, stream)
           JOIN suppression s ON s.tenant_id = $1 AND s.address = asked.address AND s.stream = asked.stream`,
    values: [
      tenantId,
      integerArray(asked.map((_, position) => position)),
      textArray(asked.map((one) => one.address)),
      textArray(asked.map((one) => one.stream)),
    ],
  });
  const hits: (SuppressionHit | undefined)[] = asked.map(() => undefined);
  for (const row of rows) hits[row.position] = { stream: row.stream, reason: row.reason };
  return hits;
}

/**
 * Adds what is not there yet, and tells it: mail that was accepted before waits in delivery's queue. Answers the ids of those that were new.
 * In the caller's transaction: the rows are locked in one order.
 */
export async function insertSuppressions(client: pg.ClientBase, entries: readonly NewSuppressionRow[]): Promise<Set<string>> {
  if (entries.length === 0) return new Set();
  const keyOf = (entry: NewSuppressionRow) => `${entry.tenantId} ${foldedAddress(entry.email)} ${entry.stream}`;
  const sorted = [...new Map(entries.toReversed().map((entry) => [keyOf(entry), entry])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, entry]) => entry);
  const { rows } = await client.query<{ id: string; tenant_id: string; address: string; stream: string }>(
    `INSERT INTO suppression (tenant_id, address, stream, id, email, reason, message_id)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::smallint[], $7::uuid[])
     ON CONFLICT (tenant_id, address, stream) DO NOTHING RETURNING id, tenant_id, address, stream`,
    [
      uuidArray(sorted.map((one) => one.tenantId)),
      textArray(sorted.map((one) => foldedAddress(one.email))),
      textArray(sorted.map((one) => one.stream)),
      uuidArray(sorted.map(() => newUuid())),
      textArray(sorted.map((one) => one.email)),
      smallintArray(sorted.map((one) => one.reason)),
      uuidArray(sorted.map((one) => one.messageId)),
    ],
  );
  await appendOutbox(
    client,
    rows.map(({ tenant_id: tenantId, address, stream }) => ({
      topic: addressSuppressed,
      event: AddressSuppressedEvent.fromPartial({ tenantId: uuidToId('ten', tenantId), address, stream }),
    })),
  );
  return new Set(rows.map((row) => row.id));
}

/** Which recipients of a message are on the tenant's list now, for its stream or its group. */
export async function suppressedOf(on: Queryable, tenantId: string, messageId: string, numbers: readonly number[]): Promise<number[]> {
  const { rows } = await on.query<{ number: number; email: string; stream: string }>(
    `SELECT r.number, r.email, s.stream FROM message m JOIN recipient r ON r.message_id = m.id
     CROSS JOIN LATERAL (VALUES (m.stream), (m.unsubscribe_group)) AS s (stream)
     WHERE m.id = $1 AND m.tenant_id = $2 AND r.number = ANY ($3::int[]) AND s.stream IS NOT NULL ORDER BY r.number`,
    [messageId, tenantId, integerArray(numbers)],
  );
  // Folded here: the database's lower() goes by its locale, which may know nothing beyond ASCII.
  const hits = await findHits(
    on,
    tenantId,
    rows.map(({ email, stream }) => ({ address: foldedAddress(email), stream })),
  );
  return [...new Set(rows.flatMap(({ number }, position) => (hits[position] === undefined ? [] : [number])))];
}

/** These entries as they stand, in order; undefined = not there. */
export async function readSuppressions(
  on: Queryable,
  tenantId: string,
  keys: readonly { email: string; stream: string }[],
): Promise<(SuppressionRow | undefined)[]> {
  const { rows } = await on.query<RawSuppression & { position: number }>(
    `SELECT asked.position, ${columns('s')}
     FROM unnest($2::int[], $3::text[], $4::text[]) AS asked (position, address, stream)
     JOIN suppression s ON s.tenant_id = $1 AND s.address = asked.address AND s.stream = asked.stream`,
    [
      tenantId,
      integerArray(keys.map((_, position) => position)),
      textArray(keys.map((one) => foldedAddress(one.email))),
      textArray(keys.map((one) => one.stream)),
    ],
  );
  const found: (SuppressionRow | undefined)[] = keys.map(() => undefined);
  for (const row of rows) found[row.position] = suppressionRow(row);
  return found;
}

export interface SuppressionPage {
  tenantId: string;
  limit: number;
  beforeId: string | undefined;
  stream: string | undefined;
  reason: number | undefined;
  email: string | undefined;
}

/** Newest first; one more than `limit` where there is a next page. */
export async function listSuppressions(on: Queryable, page: SuppressionPage): Promise<SuppressionRow[]> {
  const { rows } = await on.query<RawSuppression>(
    `SELECT ${columns('s')} FROM suppression s
     WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR stream = $3) AND ($4::smallint IS NULL OR reason = $4)
       AND ($5::text IS NULL OR address = $5)
     ORDER BY id DESC LIMIT $6`,
    [
      page.tenantId,
      page.beforeId ?? null,
      page.stream ?? null,
      page.reason ?? null,
      page.email === undefined ? null : foldedAddress(page.email),
      page.limit + 1,
    ],
  );
  return rows.map(suppressionRow);
}

/** Answers how many entries are gone. */
export async function deleteSuppressions(on: Queryable, tenantId: string, email: string, stream: string | undefined): Promise<number> {
  const { rowCount } = await on.query(
    'DELETE FROM suppression WHERE tenant_id = $1 AND address = $2 AND ($3::text IS NULL OR stream = $3)',
    [tenantId, foldedAddress(email), stream ?? null],
  );
  return rowCount ?? 0;
}

interface RawSuppression {
  id: string;
  email: string;
  stream: string;
  reason: number;
  message_id: string | null;
}

function columns(table: string): string {
  return ['id', 'email', 'stream', 'reason', 'message_id'].map((column) => `${table}.${column}`).join(', ');
}

function suppressionRow({ id, email, stream, reason, message_id: messageId }: RawSuppression): SuppressionRow {
  return { id, email, stream, reason, messageId };
}
