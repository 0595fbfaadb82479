import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { EventRecord } from './log.ts';
import { together } from './together.ts';

type Numbered = EventRecord<number>;

/** Only what this file looks at. */
function records(partition: number, ...numbers: number[]): Numbered[] {
  return numbers.map((event) => ({ partition, event }) as Numbered);
}

const eventsOf = (given: readonly Numbered[]) => given.map(({ event }) => event);

test('calls of one moment share a transaction, those that come meanwhile the next one; each partition in its order', async () => {
  const calls: number[][] = [];
  const first = Promise.withResolvers<void>();
  const handle = together<number>(async (given) => {
    calls.push(eventsOf(given));
    if (calls.length === 1) await first.promise;
  }, 100);
  const all = [handle(records(0, 1, 2)), handle(records(1, 3))];
  while (calls.length === 0) await setImmediate();
  all.push(handle(records(2, 4)), handle(records(3, 5, 6)));
  await setImmediate();
  assert.deepEqual(calls, [[1, 2, 3]]);
  first.resolve();
  await Promise.all(all);
  assert.deepEqual(calls, [
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

test('a partition whose records can’t be handled is told so, and no other', async () => {
  const handled: number[] = [];
  const handle = together<number>(async (given) => {
    if (given.some(({ event }) => event === 13)) throw new TypeError('not that one');
    handled.push(...eventsOf(given));
  }, 100);
  const results = await Promise.allSettled([handle(records(0, 1)), handle(records(1, 2, 13)), handle(records(2, 3))]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(handled, [1, 3]);
});

test('no more than about so many records in one transaction', async () => {
  const sizes: number[] = [];
  const handle = together<number>(async (given) => void sizes.push(given.length), 10);
  await Promise.all(Array.from({ length: 8 }, (_, partition) => handle(records(partition, 1, 2, 3, 4))));
  assert.deepEqual(sizes, [8, 8, 8, 8]);
});
