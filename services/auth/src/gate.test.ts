// Few at a time, few who wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from './gate.ts';

test('so many are inside, so many wait in their order, the others are told to come back', async () => {
  const gate = new Gate({ atOnce: 2, mostWaiting: 3, longestWaitMs: 60_000 });
  const doors = Array.from({ length: 7 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const outcomes = doors.map(({ promise }, index) =>
    gate
      .pass(async () => {
        begun.push(index);
        await promise;
        if (index === 1) throw new Error('it failed');
        return index;
      })
      .then(
        () => 'done',
        (error: { code?: string; message: string }) => error.code ?? error.message,
      ),
  );
  assert.deepEqual(await Promise.all(outcomes.slice(5)), ['RATE_LIMITED', 'RATE_LIMITED']);
  assert.deepEqual(begun, [0, 1]);
  doors[1]?.resolve();
  assert.equal(await outcomes[1], 'it failed');
  assert.deepEqual(begun, [0, 1, 2]);
  for (const { resolve } of doors) resolve();
  assert.deepEqual(await Promise.all(outcomes.slice(2, 5)), ['done', 'done', 'done']);
  assert.equal(await gate.pass(async () => 'empty again'), 'empty again');
});

test('who waits too long is told to come back, and the place goes to the next one', async () => {
  const gate = new Gate({ atOnce: 1, mostWaiting: 3, longestWaitMs: 5 });
  const inside = Promise.withResolvers<void>();
  const first = gate.pass(() => inside.promise);
  await assert.rejects(
    gate.pass(async () => assert.fail('it came in')),
    { code: 'RATE_LIMITED' },
  );
  const second = gate.pass(async () => 'in');
  inside.resolve();
  await first;
  assert.equal(await second, 'in');
});
