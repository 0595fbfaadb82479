// Load on the feed, for its tests: messages that are there, writers that tell events of them in transactions of every size and with every
// end, and readers that page all the time and write down what they get.
import assert from 'node:assert/strict';
import { type Database, openDatabase } from '@maildoot/db/database';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type FeedEvent, ListEventsRequest, type ListEventsResponse } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import type pg from 'pg';
import { keepEvents } from '../src/keep-events.ts';
import { lockMessages, type NewEvent } from '../src/store/outcomes.ts';
import type { World } from './world.ts';

export function ask(
  world: World,
  request: Parameters<typeof ListEventsRequest.fromPartial>[0],
  tenantId = world.tenantId,
): Promise<ListEventsResponse> {
  return world.gateway.listEvents(ListEventsRequest.fromPartial(request), { tenantId });
}

/** Everything behind a position, page by page. */
export async function everything(world: World, tenantId: string, after = 0n, limit = 100): Promise<FeedEvent[]> {
  const events: FeedEvent[] = [];
  for (;;) {
    const page = await ask(world, { after, limit }, tenantId);
    events.push(...page.events);
    after = page.nextAfter;
    if (!page.hasMore) return events;
  }
}

/** Messages of a tenant whose acceptance is in the feed; the database's ids. */
export async function acceptedMessages(world: World, tenantId: string, count: number): Promise<string[]> {
  world.verified.add(`${tenantId} sender.example`);
  const ids: string[] = [];
  for (let index = 0; index < count; index++) ids.push(idToUuid('msg', (await world.acceptOne({}, {}, tenantId)).id)!);
  await waitFor(async () => (await everything(world, tenantId)).length === count, { what: 'the acceptances' });
  return ids;
}

/** Where a reader that knows everything so far goes on. */
export async function end(world: World, tenantId: string): Promise<bigint> {
  return (await everything(world, tenantId)).at(-1)?.seq ?? 0n;
}

export function attemptEvent(tenantId: string, messageId: string, attempt: number): NewEvent {
  const detail = AttemptRecordedEvent.encode(AttemptRecordedEvent.fromPartial({ attempt, outcome: Outcome.OUTCOME_DEFERRED })).finish();
  const owner = idToUuid('ten', tenantId)!;
  return { messageId, tenantId: owner, recipientNumber: 0, attempt, type: 'message.deferred', id: newUuid(), at: new Date(), detail };
}

export function ownDatabase(world: World, maxConnections: number): Database {
  return openDatabase({ url: world.databaseUrl, schema: 'messaging', maxConnections, applicationName: 'test' });
}

// ── writers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Load extends AsyncDisposable {
  /** `message attempt`, by tenant: what was committed. */
  committed: Map<string, string[]>;
  /** Until so many events are committed. */
  until(count: number): Promise<void>;
  /** Ends the writers. */
  stop(): Promise<void>;
}

class RolledBack extends Error {}

/** Each transaction is about some messages of all tenants, and is committed at once, after a while, or never. Nobody is woken. */
export function startWriters(world: World, tenantIds: readonly string[], messages: readonly string[][], writers: number): Load {
  const database = ownDatabase(world, writers);
  const all = tenantIds.flatMap((tenantId, index) => messages[index]!.map((messageId) => ({ tenantId, messageId })));
  const committed = new Map<string, string[]>(tenantIds.map((tenantId) => [tenantId, []]));
  let count = 0;
  let running = true;

  async function write(client: pg.PoolClient): Promise<{ tenantId: string; key: string }[]> {
    const chosen = all.filter(() => Math.random() < 0.15);
    await lockMessages(
      client,
      chosen.map(({ messageId }) => messageId),
    );
    const rows: { event: NewEvent; tenantId: string }[] = [];
    for (const { tenantId, messageId } of chosen) {
      const { rows: found } = await client.query<{ last: number }>(
        'SELECT coalesce(max(attempt), 0)::int AS last FROM message_event WHERE message_id = $1',
        [messageId],
      );
      const size = Math.random() < 0.05 ? 120 : 1 + Math.floor(Math.random() * 3);
      for (let next = 1; next <= size; next++) rows.push({ event: attemptEvent(tenantId, messageId, found[0]!.last + next), tenantId });
    }
    await keepEvents(
      client,
      rows.map(({ event }) => event),
    );
    if (Math.random() < 0.4) await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    if (Math.random() < 0.15) throw new RolledBack();
    return rows.map(({ event, tenantId }) => ({ tenantId, key: `${event.messageId} ${event.attempt}` }));
  }

  const work = async () => {
    while (running) {
      try {
        for (const { tenantId, key } of await database.transaction(write)) {
          committed.get(tenantId)?.push(key);
          count++;
        }
      } catch (error) {
        if (!(error instanceof RolledBack)) throw error;
      }
    }
  };
  const all_ = Promise.all(Array.from({ length: writers }, work));
  const stop = async () => {
    running = false;
    await all_;
  };
  return {
    committed,
    stop,
    async until(wanted) {
      await Promise.race([all_, waitFor(() => count >= wanted, { what: `${wanted} events`, timeoutMs: 180_000 })]);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await database[Symbol.asyncDispose]();
    },
  };
}

// ── readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Reader extends AsyncDisposable {
  events: FeedEvent[];
}

/** From `after` on, in pages of any size. */
export function startReader(world: World, tenantId: string, after: bigint): Reader {
  const events: FeedEvent[] = [];
  let running = true;
  const reading = (async () => {
    while (running) {
      const limit = 1 + Math.floor(Math.random() * 100);
      const page = await ask(world, { after, limit, waitMs: 100 }, tenantId);
      events.push(...page.events);
      after = page.nextAfter;
    }
  })();
  return {
    events,
    async [Symbol.asyncDispose]() {
      running = false;
      await reading;
    },
  };
}

/** What the reader got is what was committed: everything, once, and each message's attempts in their order. */
export async function assertAllRead(world: World, tenantId: string, reader: Reader, committed: readonly string[]): Promise<void> {
  await waitFor(() => reader.events.length >= committed.length, { what: `${committed.length} events to be read` });
  const keys = reader.events.map(({ messageId, event }) => `${idToUuid('msg', messageId)} ${event?.attempt?.attempt}`);
  assert.equal(new Set(keys).size, keys.length, 'nothing twice');
  assert.deepEqual(keys.toSorted(), committed.toSorted(), 'nothing more, nothing less');
  const lastAttempt = new Map<string, number>();
  for (const [index, { seq, messageId, event }] of reader.events.entries()) {
    assert.ok(index === 0 || seq > reader.events[index - 1]!.seq, 'seq increases');
    const attempt = event?.attempt?.attempt ?? 0;
    assert.equal(attempt, (lastAttempt.get(messageId) ?? 0) + 1, 'in the order of the transactions that told them');
    lastAttempt.set(messageId, attempt);
  }
  const again = (await everything(world, tenantId)).filter(({ event }) => event?.type === 'message.deferred');
  assert.deepEqual(
    again.map(({ seq }) => seq),
    reader.events.map(({ seq }) => seq),
    'who reads later reads the same',
  );
}
