/**
 * A record in Kafka. Key and value are those of the outbox row; in the headers, for every consumer, also those that aren't ours:
 *
 *   id            UUIDv7 of the event: the same however often it comes
 *   published-at  when the event was appended, ISO 8601
 *   traceparent   W3C trace context of the producer span; missing when it was not traced
 *   position      of the row in its outbox' shard: 1, 2, 3 …, the same when it comes again
 */
import { createHash } from 'node:crypto';
import { uuidTime } from '@maildoot/runtime/ids';
import type { Message } from 'kafkajs';
import type { FetchedMessage } from './kafka-client.ts';
import type { RawRecord } from './process-batch.ts';

/** A sequenced row of the outbox. */
export interface OutboxRow {
  id: string;
  topic: string;
  shard: number;
  position: bigint;
  key: string;
  payload: Buffer;
  traceparent: string;
}

export function messageOf({ id, shard, position, key, payload, traceparent }: OutboxRow): Message {
  return {
    partition: shard,
    key,
    value: payload,
    headers: {
      id,
      'published-at': uuidTime(id).toISOString(),
      ...(traceparent !== '' && { traceparent }),
      position: String(position),
    },
  };
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function rawRecordOf(topic: string, partition: number, message: FetchedMessage): RawRecord {
  const { offset, key, value, headers, timestamp } = message;
  const id = text(headers.id);
  const ours = uuid.test(id);
  return {
    // Somebody else's record has no id of ours, and is always given the same one.
    id: ours ? id : idFor(`${topic} ${partition} ${offset}`),
    key: key?.toString('utf8') ?? '',
    partition,
    position: BigInt(offset),
    payload: value ?? Buffer.alloc(0),
    traceparent: text(headers.traceparent),
    publishedAt: ours ? uuidTime(id) : new Date(Number(timestamp)),
  };
}

function text(header: Buffer | string | undefined): string {
  return header?.toString('utf8') ?? '';
}

/** A UUIDv8 made of a hash. */
function idFor(place: string): string {
  const hex = createHash('sha256').update(place).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
