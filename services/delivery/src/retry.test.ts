import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { longestWaitMs, maxJitter, nextAttemptAt } from './retry.ts';

const finishedAt = new Date('2026-11-21T10:00:00Z');
const tried = (attempt: number, recipientNumber = 0) => ({ messageId: '0193', recipientNumber, attempt });

describe('nextAttemptAt', () => {
  it('follows the schedule and ends with it', () => {
    const seconds = [1, 2, 3, 4].map((attempt) => {
      const at = nextAttemptAt(tried(attempt), finishedAt, [60, 300, 900]);
      return at === undefined ? undefined : (at.getTime() - finishedAt.getTime()) / 1000;
    });
    for (const [index, planned] of [60, 300, 900].entries()) {
      const given = seconds[index] ?? 0;
      assert.ok(given <= planned && given >= planned * (1 - maxJitter), `${given} s instead of ${planned} s`);
    }
    assert.equal(seconds[3], undefined);
  });

  it('gives the same attempt the same answer and spreads a thousand recipients', () => {
    assert.deepEqual(nextAttemptAt(tried(1), finishedAt, [60]), nextAttemptAt(tried(1), finishedAt, [60]));
    const times = new Set(Array.from({ length: 1000 }, (_, number) => nextAttemptAt(tried(1, number), finishedAt, [600])?.getTime()));
    assert.ok(times.size > 900, `${times.size} different times`);
  });

  it('is never later than announced by the schedule', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 604_800 }), fc.nat(999), (delay, recipientNumber) => {
        const at = nextAttemptAt(tried(1, recipientNumber), finishedAt, [delay]);
        const seconds = ((at?.getTime() ?? 0) - finishedAt.getTime()) / 1000;
        assert.ok(seconds <= delay && seconds >= delay * (1 - maxJitter) - 0.001);
      }),
    );
  });
});

it('longestWaitMs is the whole schedule, and a day at least', () => {
  assert.equal(longestWaitMs([60, 86_400, 100_000]), 186_460_000);
  assert.equal(longestWaitMs([60, 300]), 86_400_000);
});
