// The plan of attempts, as the contract has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextAttemptAt, pausesMs, retryAfterMs } from './retry-plan.ts';

const now = new Date('2026-01-31T08:00:00Z');
const pause = (number: number, retryAfter?: number, random = 0) => {
  const next = nextAttemptAt(number, now, retryAfter, random);
  return next === undefined ? undefined : next.getTime() - now.getTime();
};

test('ten attempts: at once, then 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h after one another', () => {
  const hours = (count: number) => count * 3_600_000;
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((number) => pause(number)),
    [5_000, 300_000, 1_800_000, hours(2), hours(5), hours(10), hours(14), hours(20), hours(24), undefined],
  );
});

test('jitter makes a pause longer, by a tenth at most', () => {
  for (let number = 1; number <= pausesMs.length; number++) {
    assert.equal(pause(number, undefined, 1), Math.round(pausesMs[number - 1]! * 1.1));
    assert.equal(pause(number, undefined, 0), pausesMs[number - 1]);
  }
});

test('Retry-After puts an attempt off, by a day at most, and never brings it forward', () => {
  assert.equal(pause(1, 60_000), 60_000);
  assert.equal(pause(2, 60_000), 300_000);
  assert.equal(pause(1, 10 * 86_400_000), 86_400_000);
  assert.equal(pause(10, 60_000), undefined, 'and makes no eleventh one');
});

test('Retry-After is seconds or a date', () => {
  for (const [header, ms] of [
    [undefined, undefined],
    ['120', 120_000],
    [' 0 ', 0],
    ['Sat, 31 Jan 2026 08:00:30 GMT', 30_000],
    ['Saturday, 31-Jan-26 08:00:30 GMT', 30_000],
    ['Sat, 31 Jan 2026 07:00:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['', undefined],
  ] as const)
    assert.equal(retryAfterMs(header, now), ms, String(header));
});
