// Which events a row tells of, and what is in a position.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { newUuid } from '@maildoot/runtime/ids';
import { eventTypes } from '@maildoot/webhooks/event-types';
import fc from 'fast-check';
import { decodeEntries, type EventKey, encodeEntries, feedRows, positionAt, segmentEvents, timeOfPosition } from './feed.ts';

const key = fc.record(
  {
    messageId: fc.constant(null).map(newUuid),
    recipientNumber: fc.integer({ min: -1, max: 32_767 }),
    attempt: fc.integer({ min: 0, max: 32_767 }),
    type: fc.constantFrom(...eventTypes),
  },
  { noNullPrototype: true },
);

it('entries come back as they were told', () => {
  fc.assert(fc.property(fc.array(key, { maxLength: 100 }), (events) => assert.deepEqual(decodeEntries(encodeEntries(events)), events)));
});

it('a type without a number is a mistake of ours; a number that only a newer version knows is no event to leave out', () => {
  const event: EventKey = { messageId: newUuid(), recipientNumber: 0, attempt: 1, type: 'message.invented' };
  assert.throws(() => encodeEntries([event]), /message\.invented/);
  const bytes = encodeEntries([{ ...event, type: 'message.queued' }]);
  bytes[20] = 200;
  assert.throws(() => decodeEntries(bytes), /200/);
});

it('rows are of one tenant, in order, and small enough to stay on their page', () => {
  const events = Array.from({ length: 400 }, (_, index) => ({
    tenantId: index % 3 === 0 ? 'a' : 'b',
    messageId: newUuid(),
    recipientNumber: 0,
    attempt: index,
    type: 'message.queued',
  }));
  const rows = feedRows(events);
  for (const tenant of ['a', 'b']) {
    const told = rows.filter((row) => row.tenantId === tenant).flatMap((row) => decodeEntries(Buffer.from(row.entries)));
    assert.deepEqual(
      told.map(({ attempt }) => attempt),
      events.filter(({ tenantId }) => tenantId === tenant).map(({ attempt }) => attempt),
    );
  }
  for (const row of rows) assert.ok(row.size <= segmentEvents && row.entries.length === row.size * 21 && row.entries.length < 1_950);
});

it('a position says when it was given, is a safe integer, and increases with time', () => {
  const now = new Date('2026-11-21T12:00:00.123Z');
  assert.deepEqual(timeOfPosition(positionAt(now) + 1023n), now);
  assert.ok(positionAt(new Date(now.getTime() + 1)) > positionAt(now) + 1023n);
  assert.ok(positionAt(new Date('2248-01-01T00:00:00Z')) < BigInt(Number.MAX_SAFE_INTEGER));
});
