// How long until the next look, situation by situation.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Looked, nextCheckAfterMs } from './schedule.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const schedule = { verifiedEveryMs: hour };
const calm: Looked = { status: 'verified', rotationWaits: false, ageMs: 30 * day, failures: 0, unchanged: 0 };
const pause = (looked: Partial<Looked>, random = 0.5) => nextCheckAfterMs({ ...calm, ...looked }, schedule, random);

for (const [situation, looked, expected] of [
  ['verified', {}, hour],
  ['verified, a new key waits for its record', { rotationWaits: true }, minute],
  ['that for an hour', { rotationWaits: true, unchanged: 50 }, 16 * minute],
  ['just added', { status: 'pending', ageMs: 0 }, minute],
  ['just added, and wrong', { status: 'failed', ageMs: 59 * minute }, minute],
  ['added today', { status: 'pending', ageMs: hour }, 15 * minute],
  ['added this week', { status: 'pending', ageMs: 2 * day }, 6 * hour],
  ['never published', { status: 'pending', ageMs: 400 * day }, day],
  ['drifted just now', { status: 'drifted' }, minute],
  ['drifted for a while', { status: 'drifted', unchanged: 3 }, 8 * minute],
  ['drifted for good', { status: 'drifted', unchanged: 4000 }, 6 * hour],
  ['the first look that told nothing', { failures: 1 }, minute],
  ['the fifth', { failures: 5 }, 16 * minute],
  ['name servers that are gone for good', { failures: 5000 }, hour],
  ['a domain just added whose name servers do not answer', { status: 'pending', ageMs: 0, failures: 3 }, 4 * minute],
] as [string, Partial<Looked>, number][]) {
  test(`${situation}: ${expected / minute} minutes`, () => assert.equal(pause(looked), expected));
}

test('spread by a fifth to either side', () => {
  assert.equal(pause({}, 0), 0.8 * hour);
  assert.ok(pause({}, 0.999) <= 1.2 * hour);
  assert.ok(pause({}, 0.999) > 1.19 * hour);
});
