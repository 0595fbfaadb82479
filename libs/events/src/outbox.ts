/**
 * The producer's side: events are rows in the same transaction as what they tell about, so that either both exist or neither does.
 * They carry no position yet; the sequencer gives it after the commit.
 */
import { newUuid } from '@maildoot/runtime/ids';
import { contextFrom, traceparentOf } from '@maildoot/runtime/telemetry';
import type { ClientBase } from 'pg';
import pg from 'pg';
import { RECORD_LIMIT_BYTES } from './log.ts';
import { partitionIn } from './partition.ts';
import { publishSpan } from './telemetry.ts';
import { schemaOf, type Topic } from './topics.ts';

export interface OutboxEvent<E> {
  topic: Topic<E>;
  event: E;
  /** The parent of the producer span where the active context is not that of this event, as in a group commit. */
  traceparent?: string | undefined;
  /** For topics with bulk partitions: whose bulk it belongs to. Undefined: nobody's, it must not wait behind any. */
  bulkOf?: string | undefined;
}

/** The event can't be told as it is. Not retryable. */
export class RecordTooLargeError extends Error {
  readonly code = 'RECORD_TOO_LARGE';
  readonly topic: string;
  readonly sizeBytes: number;
  readonly limitBytes = RECORD_LIMIT_BYTES;

  constructor(topic: string, sizeBytes: number) {
    super(`a record of ${topic} has ${sizeBytes} bytes; the limit is ${RECORD_LIMIT_BYTES}`);
    this.name = 'RecordTooLargeError';
    this.topic = topic;
    this.sizeBytes = sizeBytes;
  }
}

/** The columns of the rows that an append writes, in the order of its events. */
export interface OutboxRows {
  readonly ids: string[];
  readonly topics: string[];
  readonly shards: number[];
  readonly keys: string[];
  readonly payloads: Uint8Array[];
  readonly traceparents: string[];
}

/**
 * The rows that tell these events, for an owner that writes them in one statement together with what they tell; everybody else takes
 * `appendOutbox`. Ends the producer spans. Throws RecordTooLargeError.
 */
export function outboxRows<E>(events: readonly OutboxEvent<E>[]): OutboxRows {
  const rows: OutboxRows = { ids: [], topics: [], shards: [], keys: [], payloads: [], traceparents: [] };
  for (const { topic, event, bulkOf } of events) {
    if (topic.owner !== events[0]?.topic.owner)
      throw new TypeError(`one append can't tell events of ${events[0]?.topic.owner} and of ${topic.owner}`);
    const key = topic.key(event);
    const payload = topic.codec.encode(event).finish();
    const sizeBytes = payload.byteLength + Buffer.byteLength(key);
    if (sizeBytes > RECORD_LIMIT_BYTES) throw new RecordTooLargeError(topic.name, sizeBytes);
    rows.ids.push(newUuid());
    rows.topics.push(topic.name);
    rows.shards.push(partitionIn(topic, key, bulkOf));
    rows.keys.push(key);
    rows.payloads.push(payload);
  }
  for (const [index, { topic, traceparent }] of events.entries()) {
    const parent = traceparent === undefined ? undefined : contextFrom(traceparent);
    const span = publishSpan(topic, rows.ids[index]!, parent);
    span.end();
    rows.traceparents.push(traceparentOf(span) ?? '');
  }
  return rows;
}

/**
 * Adds events to the owner's outbox: one statement on the caller's connection, inside the caller's transaction, in the order given.
 * Append after the row locks that order two transactions about the same key, so that their events are in that order too.
 * Throws RecordTooLargeError before anything is sent. After the commit, call the sequencer's `wake()`.
 */
export async function appendOutbox<E>(client: Pick<ClientBase, 'query'>, events: readonly OutboxEvent<E>[]): Promise<void> {
  const [first] = events;
  if (first === undefined) return;
  const { ids, topics, shards, keys, payloads, traceparents } = outboxRows(events);
  const sizes = payloads.map((payload) => payload.byteLength);
  const schema = schemaOf(first.topic);
  await client.query({
    name: `outbox-append-${schema}`,
    text: appendTo(schema),
    values: [ids, topics, shards, keys, Buffer.concat(payloads), sizes, traceparents],
  });
}

/**
 * The payloads go as one binary parameter and are cut on the server: as an array they would be hexadecimal text. A qualified table name,
 * because an event in another outbox than its owner's is one that nobody reads.
 */
function appendTo(schema: string): string {
  return `
    INSERT INTO ${pg.escapeIdentifier(schema)}.outbox (id, topic, shard, key, payload, traceparent)
    SELECT id, topic, shard, key, substring($5::bytea FROM (ends - size + 1)::int FOR size), traceparent
    FROM (
      SELECT e.*, sum(e.size) OVER (ORDER BY e.number) AS ends
      FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $6::int[], $7::text[])
        WITH ORDINALITY AS e (id, topic, shard, key, size, traceparent, number)
    ) AS e
    ORDER BY number`;
}
