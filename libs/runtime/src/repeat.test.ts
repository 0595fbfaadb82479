import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from './clock.ts';
import { repeat } from './repeat.ts';

/** Sleeps until it is woken by hand, and says for how long it was asked to. */
function handClock() {
  const sleeps: { ms: number; end(): void }[] = [];
  const clock: Clock = {
    now: () => new Date(0),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        signal?.addEventListener('abort', () => reject(signal.reason));
        sleeps.push({ ms, end: resolve });
      }),
  };
  return { clock, sleeps };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('it runs at once, then after each pause, also when a run failed', async () => {
  const { clock, sleeps } = handClock();
  const failures: unknown[] = [];
  let runs = 0;
  await using _job = repeat({
    everyMs: 500,
    clock,
    run: async () => {
      runs++;
      if (runs === 1) throw new Error('the first');
    },
    onFailure: (error) => failures.push(error),
  });
  await turn();
  assert.equal(runs, 1);
  assert.deepEqual(failures.map(String), ['Error: the first']);
  assert.equal(sleeps[0]?.ms, 500);
  sleeps[0]?.end();
  await turn();
  assert.equal(runs, 2);
});

test('woken in a run, it runs once more right after it; woken in a pause, at once', async () => {
  const { clock, sleeps } = handClock();
  let runs = 0;
  let finish: () => void = () => undefined;
  await using job = repeat({
    everyMs: 500,
    clock,
    run: () => {
      runs++;
      return runs > 1 ? Promise.resolve() : new Promise<void>((resolve) => (finish = resolve));
    },
    onFailure: assert.fail,
  });
  job.wake();
  job.wake();
  assert.equal(runs, 1, 'never two at a time');
  finish();
  await turn();
  assert.equal(runs, 2);
  assert.equal(sleeps.length, 1, 'the first pause was none');
  job.wake();
  await turn();
  assert.equal(runs, 3);
});

test('disposing ends the pause, tells the run that is under way, and waits for it', async () => {
  let stopping: AbortSignal | undefined;
  let ended = false;
  const job = repeat({
    everyMs: 60_000,
    run: async (signal) => {
      stopping = signal;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await turn();
      ended = true;
    },
    onFailure: assert.fail,
  });
  await turn();
  assert.equal(stopping?.aborted, false);
  await job[Symbol.asyncDispose]();
  assert.equal(ended, true);
});
