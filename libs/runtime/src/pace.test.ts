import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LONGEST_PACE_MS, PACE_MS, Pace } from './pace.ts';

test('the first begins at once, the next when the pace has passed, and at once again after a rest', (context) => {
  let nowMs = 5;
  context.mock.method(performance, 'now', () => nowMs);
  const pace = new Pace();
  assert.ok(pace.restMs() <= 0);
  pace.begin();
  assert.equal(pace.restMs(), PACE_MS);
  nowMs += PACE_MS - 1;
  assert.equal(pace.restMs(), 1);
  assert.equal(pace.restMs(1000), 1001 - PACE_MS, 'another pace counts from the same start');
  nowMs += 1;
  assert.equal(pace.restMs(), 0);
});

test('what left something behind is followed at once', () => {
  const pace = new Pace();
  pace.begin();
  pace.forget();
  assert.ok(pace.restMs() <= 0);
});

test('steps that find much move apart, up to a limit, and together again when they find little', (context) => {
  context.mock.method(performance, 'now', () => 0);
  const pace = new Pace();
  pace.begin();
  const restMs = [1, 2, 5, 10, 1000, 1].map((count) => {
    pace.took(count);
    return pace.restMs();
  });
  assert.deepEqual(restMs, [PACE_MS, PACE_MS, 20, LONGEST_PACE_MS, LONGEST_PACE_MS, PACE_MS]);
});
