// The rows that outcomes change: events, recipients' standing, messages' counters. Multi-row statements, a handful of round trips for a
// whole batch. Every writer locks the message's row first, in the order of ids, so its recipients need no locks of their own.

import { byteaArray, smallintArray, textArray, timestampArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';

/** A message whose row is locked. */
export interface LockedMessage {
  id: string;
  tenantId: string;
  status: number;
  statusCounts: number[];
  sendAt: Date | null;
  captured: boolean;
  fromEmail: string;
  stream: string;
  unsubscribeGroup: string | null;
  tags: string[];
}

export interface NewEvent {
  messageId: string;
  recipientNumber: number;
  attempt: number;
  type: string;
  id: string;
  tenantId: string;
  at: Date;
  detail: Uint8Array;
}

export interface RecipientRow {
  messageId: string;
  number: number;
  email: string;
  status: number;
  attempts: number;
}

export interface RecipientChange {
  messageId: string;
  number: number;
  status: number;
  attempts: number;
  nextAttemptAt: Date | null;
  bounce: Uint8Array | null;
}

/** Those of the messages that exist, locked until the transaction ends. */
export async function lockMessages(client: pg.ClientBase, ids: readonly string[]): Promise<LockedMessage[]> {
  const { rows } = await client.query<{
    id: string;
    tenant_id: string;
    status: number;
    status_counts: number[];
    send_at: Date | null;
    captured: boolean;
    from_email: string;
    stream: string;
    unsubscribe_group: string | null;
    tags: string[];
  }>(
    `SELECT id, tenant_id, status, status_counts, send_at, captured, from_email, stream, unsubscribe_group, tags
     FROM message WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`,
    [uuidArray(ids)],
  );
  return rows.map((row) => ({
    id: row.id,
    tenantId: row.tenant_id,
    status: row.status,
    statusCounts: row.status_counts,
    sendAt: row.send_at,
    captured: row.captured,
    fromEmail: row.from_email,
    stream: row.stream,
    unsubscribeGroup: row.unsubscribe_group,
    tags: row.tags,
  }));
}

/** Those of the messages that exist, as they tell of themselves. */
export async function findMessages(
  client: pg.ClientBase,
  ids: readonly string[],
): Promise<Pick<LockedMessage, 'id' | 'tenantId' | 'sendAt' | 'fromEmail' | 'stream' | 'tags'>[]> {
  if (ids.length === 0) return [];
  const { rows } = await client.query<{
    id: string;
    tenant_id: string;
    send_at: Date | null;
    from_email: string;
    stream: string;
    tags: string[];
  }>({
    name: 'find-messages',
    text: 'SELECT id, tenant_id, send_at, from_email, stream, tags FROM message WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid',
    values: [uuidArray(ids), ...bounds(ids)],
  });
  return rows.map((row) => ({
    id: row.id,
    tenantId: row.tenant_id,
    sendAt: row.send_at,
    fromEmail: row.from_email,
    stream: row.stream,
    tags: row.tags,
  }));
}

/** Inserts events; answers the keys (see eventKey) of those that were new. */
export async function insertEvents(client: pg.ClientBase, events: readonly NewEvent[]): Promise<Set<string>> {
  if (events.length === 0) return new Set();
  const { rows } = await client.query<{ message_id: string; recipient_number: number; attempt: number; type: string }>(
    `INSERT INTO message_event (message_id, recipient_number, attempt, type, id, tenant_id, at, detail)
     SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::text[], $5::uuid[], $6::uuid[], $7::timestamptz[], $8::bytea[])
     ON CONFLICT DO NOTHING
     RETURNING message_id, recipient_number, attempt, type`,
    [
      uuidArray(events.map((event) => event.messageId)),
      smallintArray(events.map((event) => event.recipientNumber)),
      smallintArray(events.map((event) => event.attempt)),
      textArray(events.map((event) => event.type)),
      uuidArray(events.map((event) => event.id)),
      uuidArray(events.map((event) => event.tenantId)),
      timestampArray(events.map((event) => event.at)),
      byteaArray(events.map((event) => event.detail)),
    ],
  );
  return new Set(rows.map((row) => eventKey(row.message_id, row.recipient_number, row.attempt, row.type)));
}

/** What makes an event the same event again. */
export function eventKey(messageId: string, recipientNumber: number, attempt: number, type: string): string {
  return `${messageId} ${recipientNumber} ${attempt} ${type}`;
}

/** Of the event that says that a message was accepted. */
export function acceptedKey(messageId: string): string {
  return eventKey(messageId, -1, 0, 'message.accepted');
}

/** Those of the messages whose acceptance is kept as an event. */
export async function acceptanceKept(client: pg.ClientBase, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await client.query<{ message_id: string }>(
    `SELECT message_id FROM message_event
     WHERE message_id = ANY($1::uuid[]) AND message_id BETWEEN $2::uuid AND $3::uuid
       AND recipient_number = -1 AND attempt = 0 AND type = 'message.accepted'`,
    [uuidArray(ids), ...bounds(ids)],
  );
  return new Set(rows.map((row) => row.message_id));
}

/** The recipients named, as they stand. Their messages are locked. */
export async function readRecipients(
  client: pg.ClientBase,
  keys: readonly { messageId: string; number: number }[],
): Promise<RecipientRow[]> {
  if (keys.length === 0) return [];
  const ids = keys.map((key) => key.messageId);
  const { rows } = await client.query<{ message_id: string; number: number; email: string; status: number; attempts: number }>(
    `SELECT r.message_id, r.number, r.email, r.status, r.attempts
     FROM unnest($1::uuid[], $2::smallint[]) AS wanted (message_id, number)
     JOIN recipient r ON r.message_id = wanted.message_id AND r.number = wanted.number
     WHERE r.message_id BETWEEN $3::uuid AND $4::uuid`,
    [uuidArray(ids), smallintArray(keys.map((key) => key.number)), ...bounds(ids)],
  );
  return rows.map((row) => ({
    messageId: row.message_id,
    number: row.number,
    email: row.email,
    status: row.status,
    attempts: row.attempts,
  }));
}

export async function updateRecipients(client: pg.ClientBase, changes: readonly RecipientChange[]): Promise<void> {
  if (changes.length === 0) return;
  const ids = changes.map((change) => change.messageId);
  await client.query(
    `UPDATE recipient r
     SET status = changed.status, attempts = changed.attempts, next_attempt_at = changed.next_attempt_at, bounce = changed.bounce
     FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::smallint[], $5::timestamptz[], $6::bytea[])
       AS changed (message_id, number, status, attempts, next_attempt_at, bounce)
     WHERE r.message_id = changed.message_id AND r.number = changed.number AND r.message_id BETWEEN $7::uuid AND $8::uuid`,
    [
      uuidArray(ids),
      smallintArray(changes.map((change) => change.number)),
      smallintArray(changes.map((change) => change.status)),
      smallintArray(changes.map((change) => change.attempts)),
      timestampArray(changes.map((change) => change.nextAttemptAt)),
      byteaArray(changes.map((change) => change.bounce)),
      ...bounds(ids),
    ],
  );
}

export async function updateMessages(client: pg.ClientBase, messages: readonly LockedMessage[]): Promise<void> {
  if (messages.length === 0) return;
  const ids = messages.map((message) => message.id);
  await client.query(
    `UPDATE message m
     SET status = changed.status, status_counts = changed.status_counts::smallint[]
     FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS changed (id, status, status_counts)
     WHERE m.id = changed.id AND m.id BETWEEN $4::uuid AND $5::uuid`,
    [
      uuidArray(ids),
      smallintArray(messages.map((message) => message.status)),
      textArray(messages.map((message) => `{${message.statusCounts.join()}}`)),
      ...bounds(ids),
    ],
  );
}

// A join alone would look into every partition; bounds on the key leave the one or two that hold the batch. UUIDs as text sort as their bytes.
function bounds(ids: readonly string[]): [string, string] {
  const sorted = [...ids].sort();
  return [sorted[0]!, sorted.at(-1)!];
}
