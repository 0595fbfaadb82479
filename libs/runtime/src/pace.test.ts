import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PACE_MS, Pace } from './pace.ts';

test('the first begins at once, the next when the pace has passed, and at once again after a rest', async () => {
  const pace = new Pace();
  assert.ok(pace.restMs() <= 0);
  pace.begin();
  const rest = pace.restMs();
  assert.ok(rest > 0 && rest <= PACE_MS, `${rest} ms`);
  assert.ok(pace.restMs(1000) > 900, 'another pace counts from the same start');
  const before = performance.now();
  while (pace.restMs() > 0) await new Promise((resolve) => setTimeout(resolve, pace.restMs()));
  assert.ok(performance.now() - before >= rest - 1);
});

test('what left something behind is followed at once', () => {
  const pace = new Pace();
  pace.begin();
  pace.forget();
  assert.ok(pace.restMs() <= 0);
});
