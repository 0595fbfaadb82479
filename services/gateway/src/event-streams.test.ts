// What goes over the wire of a stream of events, and when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from './errors.ts';
import { EventStreams, eventFrames, type StreamPage } from './event-streams.ts';

const limits = { perTenant: 2, heartbeatMs: 15_000, recheckMs: 1_500, stalledAfterMs: 10_000 };
const empty = (next: bigint): StreamPage => ({ events: [], next });
const one = (seq: number): StreamPage => ({ events: [{ seq, type: 'message.queued' }], next: BigInt(seq) });

/** Frames over a time that only waiting moves; the script's pages come one per question, then the stream is aborted. */
async function frames(script: (StreamPage | Error)[], first = empty(5n)) {
  const asked: [bigint, number][] = [];
  const cut: unknown[] = [];
  const controller = new AbortController();
  let now = 0;
  let checks = 0;
  const stream = eventFrames({
    first,
    limits,
    signal: controller.signal,
    nowMs: () => now,
    onCut: (cause) => cut.push(cause),
    recheck: async () => checks++,
    page: async (after, waitMs) => {
      asked.push([after, waitMs]);
      const next = script.shift();
      if (next instanceof Error) throw next;
      if (next === undefined) {
        controller.abort();
        throw new Error('given up');
      }
      if (next.events.length === 0) now += waitMs;
      return next;
    },
  });
  const sent: string[] = [];
  for await (const bytes of stream) sent.push(Buffer.from(bytes).toString());
  return { sent, asked, cut, checks };
}

test('events are frames of id, type and one line of data; the first thing sent says when to come back', async () => {
  const { sent, asked, cut } = await frames([one(7)], { events: [{ seq: 6, type: 'message.accepted' }], next: 6n });
  assert.deepEqual(sent, [
    'retry: 1000\n\nid: 6\nevent: message.accepted\ndata: {"seq":6,"type":"message.accepted"}\n\n',
    'id: 7\nevent: message.queued\ndata: {"seq":7,"type":"message.queued"}\n\n',
  ]);
  assert.deepEqual(
    asked.map(([after]) => after),
    [6n, 7n],
  );
  assert.deepEqual(cut, [], 'the client went away, nobody cut it');
});

test('nothing happens for 15 s: a comment, then the count starts again', async () => {
  const { sent, asked } = await frames([
    ...Array.from({ length: 10 }, () => empty(5n)),
    one(9),
    ...Array.from({ length: 10 }, () => empty(9n)),
  ]);
  assert.deepEqual(
    sent.map((text) => text.split('\n')[0]),
    ['retry: 1000', ': nothing new', 'id: 9', ': nothing new'],
  );
  assert.ok(asked.every(([, waitMs]) => waitMs <= limits.recheckMs));
});

test('a page of events that are gone leads on without being sent', async () => {
  const { sent, asked } = await frames([empty(50n), one(51)]);
  assert.equal(sent.length, 2);
  assert.deepEqual(
    asked.map(([after]) => after),
    [5n, 50n, 51n],
  );
});

test('the credential is looked at before every question', async () => {
  const { asked, checks } = await frames([one(7), one(8)]);
  assert.equal(checks, asked.length);
});

test('trouble ends the stream without an error, and is reported', async () => {
  const { sent, cut } = await frames([one(7), new Error('messaging is away'), one(8)]);
  assert.equal(sent.length, 2);
  assert.equal((cut[0] as Error).message, 'messaging is away');
});

test('a tenant has so many streams at a time, whatever others have', () => {
  const streams = new EventStreams(limits);
  const first = streams.open('a');
  streams.open('a');
  assert.throws(
    () => streams.open('a'),
    (error) => error instanceof ApiError && error.code === 'RATE_LIMITED',
  );
  streams.open('b');
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  streams.open('a');
  assert.throws(() => streams.open('a'), ApiError, 'a place that was given back twice is one place');
});
