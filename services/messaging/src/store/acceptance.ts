// Writes accepted messages, those of several requests in one transaction. Whatever their number, messages, recipients, content and events
// are one statement. A request of at most one idempotency key needs no other: its record is part of the statement, and if the key can't
// be had, nothing of the request is written. Who holds what of several keys has to be known first, in a transaction of more steps.
import type { Database } from '@maildoot/db/database';
import { claim, type IdempotencyClaim, type IdempotencyRequest, idempotencyLifetimeMs, store } from '@maildoot/db/idempotency';
import {
  bigintArray,
  booleanArray,
  byteaArray,
  integerArray,
  jsonbArray,
  smallintArray,
  textArray,
  timestampArray,
  uuidArray,
} from '@maildoot/db/parameters';
import { runStatement } from '@maildoot/db/statement';
import { outboxRows } from '@maildoot/events/outbox';
import { messageAccepted, schemaOf } from '@maildoot/events/topics';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import pg from 'pg';

export interface NewRecipient {
  number: number;
  kind: number;
  email: string;
  name: string;
  status: number;
}

/** A message with all that is written for it. Ids are the database's, but for those in the event. */
export interface NewMessage {
  id: string;
  tenantId: string;
  batchId: string | null;
  status: number;
  statusCounts: readonly number[];
  fromEmail: string;
  fromName: string;
  replyTo: readonly { email: string; name: string }[];
  subject: string;
  tags: readonly string[];
  metadata: Readonly<Record<string, string>>;
  sendAt: Date | null;
  sizeBytes: number;
  captured: boolean;
  stream: string;
  unsubscribeGroup: string | null;
  templateId: string | null;
  pool: string;
  /** See libs/mail tracking-token.ts. */
  personal: number;
  recipients: readonly NewRecipient[];
  /** Compressed slices of the MIME. */
  chunks: readonly Uint8Array[];
  event: MessageAcceptedEvent;
  /** It belongs to its tenant's bulk; see bulk.ts. */
  isBulk: boolean;
  traceparent: string | undefined;
}

/** What one request wants written. */
export interface Acceptance<Answer> {
  /** The idempotency keys it runs under: none, one of the request, or those of its items too. */
  keys: readonly IdempotencyRequest[];
  /** Of the recipients that nobody has looked up yet: what would stop them. The statement looks; see `onTheList`. */
  suppressible: readonly Suppressible[];
  /** What is written and answered, when it is known what became of the keys. An Error concerns this request alone. */
  decide(claims: readonly IdempotencyClaim[]): Decision<Answer> | Error;
}

export interface Decision<Answer> {
  messages: readonly NewMessage[];
  /** To be stored under claimed keys. */
  answers: readonly (IdempotencyRequest & { response: Uint8Array })[];
  answer: Answer;
}

/** What stands in the way of a recipient: an entry of the tenant's list with this address, in lower case, and this name of a stream. */
export interface Suppressible {
  tenantId: string;
  address: string;
  stream: string;
}

/** The key of the request is another's: held at this moment, or with a record already. Nothing of the request was written. */
export const keyTaken = Symbol('the idempotency key is taken');
/** A recipient is on the tenant's list. Nothing of the request was written: what is written has to say so. */
export const onTheList = Symbol('a recipient is suppressed');

/**
 * Commits a group of requests of at most one key each, no key twice, as one statement. `lock` is the key's, undefined where there is none.
 * What is taken for granted, that each gets its key and that none of their recipients is suppressed, is checked by the statement itself:
 * those that don't get theirs are answered `keyTaken`, and `commitWithClaims` finds out why; those with a suppressed recipient are answered
 * `onTheList`. Looking first would be a round trip per request for what is rare.
 */
export async function commitAtOnce<Answer>(
  database: Database,
  group: readonly (Acceptance<Answer> & { lock: bigint | undefined })[],
  now: Date,
): Promise<(Answer | typeof keyTaken | typeof onTheList | Error)[]> {
  const decisions = group.map((one) => one.decide(one.keys.map(() => ({ outcome: 'claimed' }))));
  const keyed: Keyed[] = [];
  const free: number[] = [];
  const messages: Written[] = [];
  for (const [request, decision] of decisions.entries()) {
    if (decision instanceof Error) continue;
    const [answer] = decision.answers;
    const lock = group[request]?.lock;
    if (answer !== undefined && lock !== undefined) keyed.push({ request, lock, ...answer });
    else free.push(request);
    for (const message of decision.messages) messages.push({ message, condition: request });
  }
  const asked = group.flatMap(({ suppressible }, request) => suppressible.map((one) => ({ ...one, request })));
  const { rows } = await runStatement<{ request: number; held: boolean }>(
    database.pool,
    writing(messages, { keyed, free, suppressible: asked }, now),
  );
  const held = new Set(rows.filter((row) => row.held).map((row) => row.request));
  const hit = new Set(rows.filter((row) => !row.held).map((row) => row.request));
  return decisions.map((decision, request) => {
    if (decision instanceof Error) return decision;
    if (held.has(request)) return decision.answer;
    return hit.has(request) ? onTheList : keyTaken;
  });
}

/** Commits a group of requests in one transaction, after what became of their keys; an answer or an Error for each, in order. */
export async function commitWithClaims<Answer>(
  database: Database,
  group: readonly Acceptance<Answer>[],
  now: Date,
): Promise<(Answer | Error)[]> {
  return await database.transaction(async (client) => {
    const claims = await claim(
      client,
      group.flatMap((one) => one.keys),
      now,
    );
    let used = 0;
    const decisions = group.map((one) => {
      const own = claims.slice(used, used + one.keys.length);
      used += own.length;
      return one.decide(own);
    });
    const agreed = decisions.filter((decision): decision is Decision<Answer> => !(decision instanceof Error));
    const messages = agreed.flatMap((decision) => decision.messages.map((message) => ({ message, condition: always })));
    if (messages.length > 0) await client.query(writing(messages, { keyed: [], free: [], suppressible: [] }, now));
    await store(
      client,
      agreed.flatMap((decision) => decision.answers),
      now,
    );
    return decisions.map((decision) => (decision instanceof Error ? decision : decision.answer));
  });
}

/** Which of these messages the tenant has. */
export async function findAccepted(pool: pg.Pool, tenantId: string, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM message WHERE id = ANY($1::uuid[]) AND tenant_id = $2', [
    uuidArray(ids),
    tenantId,
  ]);
  return new Set(rows.map((row) => row.id));
}

/** A record to be made for the only key of a request; `request` is its place in the group. */
type Keyed = IdempotencyRequest & { request: number; lock: bigint; response: Uint8Array };

/** A message, and the request whose key has to be had for it to be written. */
interface Written {
  message: NewMessage;
  condition: number;
}
const always = -1;

/** What the requests of a group are written under. */
interface Terms {
  keyed: readonly Keyed[];
  /** The requests without a key. */
  free: readonly number[];
  suppressible: readonly (Suppressible & { request: number })[];
}

/** The statement that writes messages with all that belongs to them, and returns which requests it wrote and which have somebody on the list. */
function writing(unsorted: readonly Written[], { keyed, free, suppressible }: Terms, now: Date): pg.QueryConfig {
  // Two replicas that retry the same ids in opposite order would deadlock.
  const messages = unsorted.toSorted((a, b) => (a.message.id < b.message.id ? -1 : 1));
  const column = <T>(of: (message: NewMessage) => T) => messages.map(({ message }) => of(message));
  const recipients = messages.flatMap((written) => written.message.recipients.map((recipient) => ({ ...written, recipient })));
  const chunks = messages.flatMap((written) => written.message.chunks.map((data, chunk) => ({ ...written, chunk, data })));
  const events = outboxRows(
    column(({ event, traceparent, isBulk }) => ({
      topic: messageAccepted,
      event,
      traceparent,
      bulkOf: isBulk ? event.tenantId : undefined,
    })),
  );
  return {
    // Prepared once per connection: PostgreSQL plans it half a millisecond at a time otherwise.
    name: 'accept-messages',
    text: writingSql,
    values: [
      smallintArray(keyed.map((one) => one.request)),
      bigintArray(keyed.map((one) => one.lock)),
      uuidArray(keyed.map((one) => one.tenantId)),
      textArray(keyed.map((one) => one.operation)),
      textArray(keyed.map((one) => one.key)),
      byteaArray(keyed.map((one) => one.requestHash)),
      byteaArray(keyed.map((one) => one.response)),
      now,
      new Date(now.getTime() + idempotencyLifetimeMs),
      smallintArray(messages.map(({ condition }) => condition)),
      uuidArray(column((one) => one.id)),
      uuidArray(column((one) => one.tenantId)),
      uuidArray(column((one) => one.batchId)),
      smallintArray(column((one) => one.status)),
      // An array of arrays can't be unnested row by row; its text can.
      textArray(column((one) => `{${one.statusCounts.join()}}`)),
      textArray(column((one) => one.fromEmail)),
      textArray(column((one) => one.fromName)),
      jsonbArray(column((one) => JSON.stringify(one.replyTo))),
      textArray(column((one) => one.subject)),
      jsonbArray(column((one) => JSON.stringify(one.tags))),
      jsonbArray(column((one) => JSON.stringify(one.metadata))),
      timestampArray(column((one) => one.sendAt)),
      integerArray(column((one) => one.sizeBytes)),
      booleanArray(column((one) => one.captured)),
      smallintArray(recipients.map(({ condition }) => condition)),
      uuidArray(recipients.map(({ message }) => message.id)),
      smallintArray(recipients.map(({ recipient }) => recipient.number)),
      uuidArray(recipients.map(({ message }) => message.tenantId)),
      smallintArray(recipients.map(({ recipient }) => recipient.kind)),
      textArray(recipients.map(({ recipient }) => recipient.email)),
      textArray(recipients.map(({ recipient }) => recipient.name)),
      smallintArray(recipients.map(({ recipient }) => recipient.status)),
      smallintArray(chunks.map(({ condition }) => condition)),
      uuidArray(chunks.map(({ message }) => message.id)),
      smallintArray(chunks.map(({ chunk }) => chunk)),
      uuidArray(chunks.map(({ message }) => message.tenantId)),
      booleanArray(chunks.map(({ message, chunk }) => chunk === message.chunks.length - 1)),
      byteaArray(chunks.map(({ data }) => data)),
      uuidArray(events.ids),
      textArray(events.topics),
      smallintArray(events.shards),
      textArray(events.keys),
      byteaArray(events.payloads),
      textArray(events.traceparents),
      smallintArray(free),
      smallintArray(suppressible.map(({ request }) => request)),
      uuidArray(suppressible.map(({ tenantId }) => tenantId)),
      textArray(suppressible.map(({ address }) => address)),
      textArray(suppressible.map(({ stream }) => stream)),
      textArray(column((one) => one.stream)),
      textArray(column((one) => one.unsubscribeGroup)),
      uuidArray(column((one) => one.templateId)),
      textArray(column((one) => one.pool)),
      smallintArray(column((one) => one.personal)),
    ],
  };
}

// Columns that stand for another row's condition are compared with the requests that may be written. `kept` sees records that were committed
// after this statement's snapshot, as every ON CONFLICT does, and waits for nobody: whoever is inserting the same key has the lock.
// `hit` is one look into the primary key per recipient; a scalar subquery, so that no plan reads the whole list for a handful of them.
const writingSql = `
  WITH hit AS MATERIALIZED (
    SELECT DISTINCT asked.request
    FROM unnest($46::smallint[], $47::uuid[], $48::text[], $49::text[]) AS asked (request, tenant_id, address, stream)
    WHERE (SELECT true FROM suppression s
           WHERE s.tenant_id = asked.tenant_id AND s.address = asked.address AND s.stream = asked.stream LIMIT 1)
  ), locked AS MATERIALIZED (
    SELECT request, tenant_id, operation, key, request_hash, response
    FROM unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
      AS asked (request, lock, tenant_id, operation, key, request_hash, response)
    WHERE CASE WHEN request IN (SELECT request FROM hit) THEN false ELSE pg_try_advisory_xact_lock(lock) END
  ), kept AS (
    INSERT INTO idempotency_record (tenant_id, operation, key, request_hash, response, created_at, expires_at)
    SELECT tenant_id, operation, key, request_hash, response, $8::timestamptz, $9::timestamptz FROM locked
    ON CONFLICT (tenant_id, operation, key) DO NOTHING
    RETURNING tenant_id, operation, key
  ), held AS MATERIALIZED (
    SELECT request FROM locked JOIN kept USING (tenant_id, operation, key)
    UNION ALL
    SELECT request FROM unnest($45::smallint[]) AS free (request) WHERE request NOT IN (SELECT request FROM hit)
  ), messages AS (
    INSERT INTO message (id, tenant_id, batch_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, send_at,
                         size_bytes, captured, stream, unsubscribe_group, template_id, pool, personal)
    SELECT id, tenant_id, batch_id, status, status_counts::smallint[], from_email, from_name, reply_to, subject, tags, metadata, send_at,
           size_bytes, captured, stream, unsubscribe_group, template_id, pool, personal
    FROM unnest($10::smallint[], $11::uuid[], $12::uuid[], $13::uuid[], $14::smallint[], $15::text[], $16::text[], $17::text[],
                $18::jsonb[], $19::text[], $20::jsonb[], $21::jsonb[], $22::timestamptz[], $23::integer[], $24::boolean[],
                $50::text[], $51::text[], $52::uuid[], $53::text[], $54::smallint[])
      AS new (condition, id, tenant_id, batch_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, send_at,
              size_bytes, captured, stream, unsubscribe_group, template_id, pool, personal)
    WHERE condition = ${always} OR condition IN (SELECT request FROM held)
  ), recipients AS (
    INSERT INTO recipient (message_id, number, tenant_id, kind, email, name, status, attempts)
    SELECT message_id, number, tenant_id, kind, email, name, status, 0
    FROM unnest($25::smallint[], $26::uuid[], $27::smallint[], $28::uuid[], $29::smallint[], $30::text[], $31::text[], $32::smallint[])
      AS new (condition, message_id, number, tenant_id, kind, email, name, status)
    WHERE condition = ${always} OR condition IN (SELECT request FROM held)
  ), contents AS (
    INSERT INTO content (message_id, chunk, tenant_id, last, data)
    SELECT message_id, chunk, tenant_id, last, data
    FROM unnest($33::smallint[], $34::uuid[], $35::smallint[], $36::uuid[], $37::boolean[], $38::bytea[])
      AS new (condition, message_id, chunk, tenant_id, last, data)
    WHERE condition = ${always} OR condition IN (SELECT request FROM held)
  ), events AS (
    INSERT INTO ${pg.escapeIdentifier(schemaOf(messageAccepted))}.outbox (id, topic, shard, key, payload, traceparent)
    SELECT id, topic, shard, key, payload, traceparent
    FROM unnest($10::smallint[], $39::uuid[], $40::text[], $41::smallint[], $42::text[], $43::bytea[], $44::text[])
      AS new (condition, id, topic, shard, key, payload, traceparent)
    WHERE condition = ${always} OR condition IN (SELECT request FROM held)
  )
  SELECT request, true AS held FROM held UNION ALL SELECT request, false FROM hit`;
