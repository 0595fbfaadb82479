// Writes accepted messages: the one transaction that several requests share. Whatever the number of messages it is one statement for
// messages, recipients and content, one for the outbox, and two for idempotency keys where there are any.
import type { Database } from '@maildoot/db/database';
import { claim, type IdempotencyClaim, type IdempotencyRequest, store } from '@maildoot/db/idempotency';
import { appendOutbox } from '@maildoot/events/outbox';
import { messageAccepted } from '@maildoot/events/topics';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import type pg from 'pg';
import { booleanArray, byteaArray, integerArray, jsonbArray, smallintArray, textArray, timestampArray, uuidArray } from './binary-array.ts';

export interface NewRecipient {
  number: number;
  kind: number;
  email: string;
  name: string;
}

/** A message with all that is written for it. Ids are the database's, but for those in the event. */
export interface NewMessage {
  id: string;
  tenantId: string;
  batchId: string | null;
  status: number;
  statusCounts: readonly number[];
  recipientStatus: number;
  fromEmail: string;
  fromName: string;
  replyTo: readonly { email: string; name: string }[];
  subject: string;
  tags: readonly string[];
  metadata: Readonly<Record<string, string>>;
  sendAt: Date | null;
  sizeBytes: number;
  captured: boolean;
  recipients: readonly NewRecipient[];
  /** Compressed slices of the MIME. */
  chunks: readonly Uint8Array[];
  event: MessageAcceptedEvent;
  traceparent: string | undefined;
}

/** What one request wants written. */
export interface Acceptance<Answer> {
  /** The idempotency keys it runs under; none is usual. */
  keys: readonly IdempotencyRequest[];
  /** Called in the transaction, when it is known what became of the keys. An Error concerns this request alone. */
  decide(claims: readonly IdempotencyClaim[]): Decision<Answer> | Error;
}

export interface Decision<Answer> {
  messages: readonly NewMessage[];
  /** To be stored under claimed keys. */
  answers: readonly (IdempotencyRequest & { response: Uint8Array })[];
  answer: Answer;
}

/** Commits a group of requests in one transaction; an answer or an Error for each, in order. */
export async function commitAcceptances<Answer>(
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
    let taken = 0;
    const decisions = group.map((one) => {
      const own = claims.slice(taken, taken + one.keys.length);
      taken += own.length;
      return one.decide(own);
    });
    const agreed = decisions.filter((decision): decision is Decision<Answer> => !(decision instanceof Error));
    // Two replicas that retry the same ids in opposite order would deadlock.
    const messages = agreed.flatMap((decision) => decision.messages).sort((a, b) => (a.id < b.id ? -1 : 1));
    await insertMessages(client, messages);
    await store(
      client,
      agreed.flatMap((decision) => decision.answers),
      now,
    );
    await appendOutbox(
      client,
      messages.map(({ event, traceparent }) => ({ topic: messageAccepted, event, traceparent })),
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

async function insertMessages(client: pg.PoolClient, messages: readonly NewMessage[]): Promise<void> {
  if (messages.length === 0) return;
  const column = <T>(of: (message: NewMessage) => T) => messages.map(of);
  const recipients = messages.flatMap((message) => message.recipients.map((recipient) => ({ message, recipient })));
  const chunks = messages.flatMap((message) => message.chunks.map((data, chunk) => ({ message, chunk, data })));
  await client.query({
    // Prepared once per connection: PostgreSQL plans it 0.3 ms at a time otherwise.
    name: 'accept-messages',
    text: insertSql,
    values: [
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
      uuidArray(recipients.map(({ message }) => message.id)),
      smallintArray(recipients.map(({ recipient }) => recipient.number)),
      uuidArray(recipients.map(({ message }) => message.tenantId)),
      smallintArray(recipients.map(({ recipient }) => recipient.kind)),
      textArray(recipients.map(({ recipient }) => recipient.email)),
      textArray(recipients.map(({ recipient }) => recipient.name)),
      smallintArray(recipients.map(({ message }) => message.recipientStatus)),
      uuidArray(chunks.map(({ message }) => message.id)),
      smallintArray(chunks.map(({ chunk }) => chunk)),
      uuidArray(chunks.map(({ message }) => message.tenantId)),
      booleanArray(chunks.map(({ message, chunk }) => chunk === message.chunks.length - 1)),
      byteaArray(chunks.map(({ data }) => data)),
    ],
  });
}

const insertSql = `
  WITH messages AS (
    INSERT INTO message (id, tenant_id, batch_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, send_at,
                         size_bytes, captured)
    SELECT id, tenant_id, batch_id, status, status_counts::smallint[], from_email, from_name, reply_to, subject, tags, metadata, send_at,
           size_bytes, captured
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[],
                $10::jsonb[], $11::jsonb[], $12::timestamptz[], $13::integer[], $14::boolean[])
      AS new (id, tenant_id, batch_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, send_at,
              size_bytes, captured)
  ), recipients AS (
    INSERT INTO recipient (message_id, number, tenant_id, kind, email, name, status, attempts)
    SELECT message_id, number, tenant_id, kind, email, name, status, 0
    FROM unnest($15::uuid[], $16::smallint[], $17::uuid[], $18::smallint[], $19::text[], $20::text[], $21::smallint[])
      AS new (message_id, number, tenant_id, kind, email, name, status)
  )
  INSERT INTO content (message_id, chunk, tenant_id, last, data)
  SELECT message_id, chunk, tenant_id, last, data
  FROM unnest($22::uuid[], $23::smallint[], $24::uuid[], $25::boolean[], $26::bytea[]) AS new (message_id, chunk, tenant_id, last, data)`;
