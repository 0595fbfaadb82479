// At most one write a minute and key, many keys in one, none lost at the end, and a failure stops nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLastUsed } from './last-used.ts';

const minute = new Date('2026-11-21T12:00:00Z');
const within = new Date('2026-11-21T12:00:42Z');

function recorder(write: () => Promise<void> = async () => {}) {
  const written: { keys: readonly string[]; at: Date }[] = [];
  const failures: number[] = [];
  let time = within;
  const lastUsed = createLastUsed({
    now: () => time,
    // Never within a test: what is written is written by disposing.
    delayMs: 3_600_000,
    write: async (keys, at) => {
      await write();
      written.push({ keys, at });
    },
    failed: (_, count) => failures.push(count),
  });
  return { lastUsed, written, failures, setTime: (to: Date) => (time = to) };
}

test('many uses of many keys are one write, to the minute', async () => {
  const { lastUsed, written } = recorder();
  for (const key of ['b', 'a', 'b', 'a']) lastUsed.note(key, null);
  await lastUsed[Symbol.asyncDispose]();
  assert.deepEqual(written, [{ keys: ['a', 'b'], at: minute }]);
});

test('a key whose row has this minute is not written again', async () => {
  const { lastUsed, written } = recorder();
  lastUsed.note('a', minute);
  lastUsed.note('b', new Date(minute.getTime() - 60_000));
  await lastUsed[Symbol.asyncDispose]();
  assert.deepEqual(written, [{ keys: ['b'], at: minute }]);
});

test('the write happens by itself after the delay', async () => {
  const written = Promise.withResolvers<readonly string[]>();
  const lastUsed = createLastUsed({ now: () => within, delayMs: 1, write: async (keys) => written.resolve(keys), failed: assert.fail });
  lastUsed.note('a', null);
  // The timer alone doesn't keep a process alive.
  const alive = setInterval(() => {}, 1000);
  assert.deepEqual(await written.promise, ['a']);
  clearInterval(alive);
  await lastUsed[Symbol.asyncDispose]();
});

test('a write that fails is counted, and the next minute is written', async () => {
  let broken = true;
  const { lastUsed, written, failures, setTime } = recorder(async () => {
    if (broken) throw new Error('the database is away');
  });
  lastUsed.note('a', null);
  await lastUsed[Symbol.asyncDispose]();
  assert.deepEqual(failures, [1]);
  broken = false;
  setTime(new Date(within.getTime() + 60_000));
  lastUsed.note('a', null);
  await lastUsed[Symbol.asyncDispose]();
  assert.equal(written.length, 1);
});
