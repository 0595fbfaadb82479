import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './clock.ts';

test('sleeps at least as long as asked', async () => {
  const start = performance.now();
  await systemClock.sleep(20);
  assert.ok(performance.now() - start >= 19);
});

test('an abort ends the sleep with its reason', async () => {
  const controller = new AbortController();
  const reason = new Error('stopping');
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort(reason);
  await assert.rejects(sleeping, reason);
  await assert.rejects(systemClock.sleep(60_000, controller.signal), reason);
});

test('a sleep longer than a timer can hold does not end at once', async () => {
  const controller = new AbortController();
  let ended = false;
  const sleeping = systemClock.sleep(2 ** 32, controller.signal).finally(() => {
    ended = true;
  });
  await systemClock.sleep(20);
  assert.equal(ended, false);
  controller.abort();
  await assert.rejects(sleeping);
});
