// Waiting and the test clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from './clock.ts';
import { waitFor } from './wait.ts';

test('waitFor gives what the condition gave, and looks again after an exception', async () => {
  let looks = 0;
  const found = await waitFor(
    () => {
      looks++;
      if (looks === 1) throw new Error('not yet');
      return looks < 3 ? undefined : looks;
    },
    { what: 'the third look', intervalMs: 1 },
  );
  assert.equal(found, 3);
  assert.equal(await waitFor(() => 0, { what: 'zero, which is an answer' }), 0);
});

test('waitFor fails with what it waited for, and why', async () => {
  const cause = new Error('connection refused');
  await assert.rejects(
    waitFor(() => Promise.reject(cause), { what: 'the server', timeoutMs: 20 }),
    (error: Error) => error.message === 'waited 20 ms in vain for the server' && error.cause === cause,
  );
});

test('waitFor looks once more when its time went by while nobody ran', async () => {
  const from = performance.now();
  let looks = 0;
  const late = waitFor(() => ++looks > 1, { what: 'the look after the time is over', timeoutMs: 20, intervalMs: 1 });
  while (performance.now() - from < 40);
  assert.equal(await late, true);
});

test('the clock stands still, wakes in order, and wakes again who sleeps again', async () => {
  const clock = new TestClock(new Date('2026-01-01T00:00:00Z'));
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number, times: number) => {
    for (let time = 0; time < times; time++) {
      await clock.sleep(ms);
      woken.push(`${name}@${clock.now().toISOString().slice(17, 19)}`);
    }
  };
  const all = Promise.all([sleeper('a', 20_000, 2), sleeper('b', 15_000, 3)]);
  assert.equal(clock.sleeping, 2);
  assert.equal(clock.nextDueInMs, 15_000);
  await clock.advance(14_999);
  assert.deepEqual(woken, []);
  await clock.advance(1);
  assert.deepEqual(woken, ['b@15']);
  await clock.advance(30_000);
  await all;
  assert.deepEqual(woken, ['b@15', 'a@20', 'b@30', 'a@40', 'b@45']);
  assert.equal(clock.now().toISOString(), '2026-01-01T00:00:45.000Z');
  assert.equal(clock.sleeping, 0);
});

test('an aborted sleep rejects with the reason and is forgotten', async () => {
  const clock = new TestClock();
  const abort = new AbortController();
  const sleep = clock.sleep(1000, abort.signal);
  abort.abort(new Error('stop'));
  await assert.rejects(sleep, /stop/);
  assert.equal(clock.sleeping, 0);
  await assert.rejects(clock.sleep(1000, abort.signal), /stop/);
  await clock.sleep(0);
});
