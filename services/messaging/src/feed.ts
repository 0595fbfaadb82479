// A tenant's feed: all its events in one order, each at a position that only ever increases. No writer gives a position, for whoever
// followed a counter that writers share would skip the transaction that took its number first and committed last.
//   1. who inserts events tells in the same transaction which ones (`feedRows`, store/feed.ts)
//   2. after the commit one sequencer at a time gives them positions (jobs/feed-sequencer.ts)
//   3. readers follow the positions (`createFeed`); what events say is read from the events themselves
import type { FeedEvent } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { uuidToId } from '@maildoot/runtime/ids';
import type { EventType } from '@maildoot/webhooks/event-types';
import type pg from 'pg';
import { type FeedRow, readEvents, readSegments, type Segment } from './store/feed.ts';
import { feedEvent } from './timeline.ts';

/** Which event: the key of message_event; of a tenant's own event its id, and `noMessage`. */
export interface EventKey {
  messageId: string;
  recipientNumber: number;
  attempt: number;
  type: string;
}

/** How many events are told in one row. */
export const segmentEvents = 90;

/**
 * The lower bits of a position; above them stand the milliseconds at which it was given. So positions go on increasing when a database
 * is restored from a backup, one tenant's don't tell how many events others have, and old ones say in which partition they are.
 */
const positionsPerMs = 1024n;

/** The lowest position of a moment. */
export function positionAt(date: Date): bigint {
  return BigInt(date.getTime()) * positionsPerMs;
}

/** When a position was given. */
export function timeOfPosition(seq: bigint): Date {
  return new Date(Number(seq / positionsPerMs));
}

// ── which events, in 21 bytes each: message 16, recipient 2, attempt 2, type 1 ───────────────────────────────────────────────

const entryBytes = 21;
// Stored: a number is never changed and never given to another type. The compiler asks for one for every type that there is, and for no other.
const numbers: Readonly<Record<EventType, number>> = {
  'message.accepted': 1,
  'message.scheduled': 2,
  'message.queued': 3,
  'message.sent_attempt': 4,
  'message.deferred': 5,
  'message.delivered': 6,
  'message.bounced': 7,
  'message.failed': 8,
  'message.suppressed': 9,
  'message.cancelled': 10,
  'message.complained': 11,
  'message.opened': 12,
  'message.clicked': 13,
  'message.unsubscribed': 14,
  'domain.verified': 15,
  'domain.drifted': 16,
  'callback.disabled': 17,
};
const numberOfType: ReadonlyMap<string, number> = new Map(Object.entries(numbers));
const typeOfNumber: ReadonlyMap<number, string> = new Map(Object.entries(numbers).map(([type, number]) => [number, type]));

export function encodeEntries(events: readonly EventKey[]): Buffer {
  const bytes = Buffer.allocUnsafe(events.length * entryBytes);
  for (const [index, { messageId, recipientNumber, attempt, type }] of events.entries()) {
    const number = numberOfType.get(type);
    if (number === undefined) throw new TypeError(`events of type ${type} have no number in the feed yet`);
    const at = index * entryBytes;
    bytes.write(messageId.replaceAll('-', ''), at, 16, 'hex');
    bytes.writeInt16BE(recipientNumber, at + 16);
    bytes.writeInt16BE(attempt, at + 18);
    bytes.writeUInt8(number, at + 20);
  }
  return bytes;
}

/** Throws for a type that only a newer version knows: leaving it out would hide it from a reader for good. */
export function decodeEntries(bytes: Buffer): EventKey[] {
  return Array.from({ length: bytes.length / entryBytes }, (_, index) => {
    const at = index * entryBytes;
    const number = bytes.readUInt8(at + 20);
    const type = typeOfNumber.get(number);
    if (type === undefined) throw new RangeError(`this version does not know the event type ${number}`);
    const hex = bytes.toString('hex', at, at + 16);
    const messageId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    return { messageId, recipientNumber: bytes.readInt16BE(at + 16), attempt: bytes.readInt16BE(at + 18), type };
  });
}

/** Events as the rows that tell of them: each of one tenant, in the order given. */
export function feedRows(events: readonly (EventKey & { tenantId: string })[]): FeedRow[] {
  const rows: FeedRow[] = [];
  for (const [tenantId, own] of Map.groupBy(events, (event) => event.tenantId)) {
    for (let from = 0; from < own.length; from += segmentEvents) {
      const slice = own.slice(from, from + segmentEvents);
      rows.push({ tenantId, size: slice.length, entries: encodeEntries(slice) });
    }
  }
  return rows;
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface FeedPage {
  events: (FeedEvent & Pick<EventKey, 'recipientNumber'>)[];
  /** Behind everything that was looked at: where the next page starts. */
  next: bigint;
  more: boolean;
}

export interface Feed {
  /** The tenant's events behind a position, oldest first. What was dropped with its message is left out. */
  page(tenantId: string, after: bigint, limit: number): Promise<FeedPage>;
}

const noData = Buffer.alloc(0);

export function createFeed(pool: Pick<pg.Pool | pg.PoolClient, 'query'>): Feed {
  return {
    async page(tenantId, after, limit) {
      const segments = await readSegments(pool, { tenantId, after, since: timeOfPosition(after), events: limit + 1 });
      const behind = segments.flatMap(positioned).filter(({ seq }) => seq > after);
      const shown = behind.slice(0, limit);
      const rows = await readEvents(pool, tenantId, shown);
      const events = rows.map((row) => ({
        seq: shown[row.number]!.seq,
        recipientNumber: shown[row.number]!.recipientNumber,
        event: feedEvent(row),
        messageId: row.messageId === null ? '' : uuidToId('msg', row.messageId),
        batchId: row.batchId === null ? '' : uuidToId('bat', row.batchId),
        tags: row.tags,
        metadata: row.metadata,
        recordedAt: timeOfPosition(shown[row.number]!.seq),
        dataJson: row.dataJson ?? noData,
      }));
      return { events, next: shown.at(-1)?.seq ?? after, more: behind.length > shown.length };
    },
  };
}

function positioned({ lastSeq, size, entries }: Segment): (EventKey & { seq: bigint })[] {
  const first = lastSeq - BigInt(size) + 1n;
  return decodeEntries(entries).map((entry, index) => ({ ...entry, seq: first + BigInt(index) }));
}
