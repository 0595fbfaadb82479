// How requests share a transaction. The commits are functions here; the real database's part is in test/database.test.ts.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { CommitOutcomeUnknown } from './errors.ts';
import { GroupCommit } from './group-commit.ts';

/** A commit that the test lets go. */
function gate() {
  const groups: { items: number[]; open: (results?: (number | Error)[]) => void; fail: (error: Error) => void }[] = [];
  return {
    groups,
    commit: (items: number[]): Promise<(number | Error)[]> =>
      new Promise((resolve, reject) => {
        groups.push({ items, open: (results) => resolve(results ?? items), fail: reject });
      }),
  };
}

/** Time passes as the test says. */
function stoppedClock(context: TestContext): (ms: number) => Promise<void> {
  let nowMs = 0;
  context.mock.timers.enable({ apis: ['setTimeout'] });
  context.mock.method(performance, 'now', () => nowMs);
  return async (ms) => {
    nowMs += ms;
    context.mock.timers.tick(ms);
    await setImmediate();
    await setImmediate();
  };
}

test('an idle group commits at the end of the turn, without a timer, and takes all that the turn brought', async () => {
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ concurrency: 3, sizeOf: () => 1, commit });
  const done = [group.submit(7)];
  // As requests come that were read from sockets in the same turn: each in a microtask of its own.
  await Promise.resolve();
  done.push(group.submit(8));
  await setImmediate();
  assert.deepEqual(
    groups.map(({ items }) => items),
    [[7, 8]],
  );
  groups[0]?.open();
  assert.deepEqual(await Promise.all(done), [7, 8]);
});

test('what arrives during a commit goes together with the next one, in order', async () => {
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ concurrency: 1, sizeOf: () => 1, commit });
  const all = [group.submit(1)];
  await setImmediate();
  for (const item of [2, 3, 4]) {
    all.push(group.submit(item));
    await setImmediate();
  }
  assert.equal(groups.length, 1);
  groups[0]?.open();
  // The commit ends in one turn, and the next one begins at the end of it.
  await setImmediate();
  await setImmediate();
  assert.deepEqual(groups[1]?.items, [2, 3, 4]);
  groups[1]?.open();
  assert.deepEqual(await Promise.all(all), [1, 2, 3, 4]);
});

test('with a pace, the first group after a rest begins at once, the next one later, and a full one or the end waits for nothing', async () => {
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ paceMs: 60_000, maxItems: 2, sizeOf: () => 1, commit });
  const first = group.submit(1);
  await setImmediate();
  assert.deepEqual(groups[0]?.items, [1]);
  groups[0]?.open();
  await first;
  const second = group.submit(2);
  await setImmediate();
  await setImmediate();
  assert.equal(groups.length, 1);
  const third = group.submit(3);
  await setImmediate();
  assert.deepEqual(groups[1]?.items, [2, 3]);
  groups[1]?.open();
  await Promise.all([second, third]);
  const last = group.submit(4);
  const ended = group[Symbol.asyncDispose]();
  await setImmediate();
  assert.deepEqual(groups[2]?.items, [4]);
  groups[2]?.open();
  assert.equal(await last, 4);
  await ended;
});

test('where much arrives the pace is a longer one, unless somebody waits', async (context) => {
  const pass = stoppedClock(context);
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ paceMs: 10, sizeOf: () => 1, commit });
  const submitMany = () => Promise.all(Array.from({ length: 20 }, (_, item) => group.submit(item)));
  for (const [index, hurries] of [false, false, true].entries()) {
    const all = submitMany();
    await pass(0);
    if (index > 0) {
      await pass(10);
      assert.equal(groups.length, index, 'as many again are waited for');
      if (hurries) group.hurry();
      await pass(hurries ? 0 : 30);
    }
    assert.equal(groups.length, index + 1);
    groups[index]?.open();
    await all;
  }
});

test('beside a group that is quick none begins, beside a slow one the next does, and a full one waits for nobody', async (context) => {
  const pass = stoppedClock(context);
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ concurrency: 3, patienceMs: 1_000, maxItems: 3, sizeOf: () => 1, commit });
  const all = [group.submit(1)];
  await setImmediate();
  all.push(group.submit(2));
  await pass(999);
  assert.equal(groups.length, 1, 'the second group had no patience');
  await pass(1);
  assert.deepEqual(groups[1]?.items, [2]);
  all.push(...[3, 4, 5].map((item) => group.submit(item)));
  await setImmediate();
  assert.deepEqual(groups[2]?.items, [3, 4, 5]);
  // Three are under way; the next one begins when one of them ends, and not before.
  all.push(...[6, 7, 8].map((item) => group.submit(item)));
  await setImmediate();
  assert.equal(groups.length, 3);
  for (const { open } of groups) open();
  await setImmediate();
  await setImmediate();
  assert.deepEqual(groups[3]?.items, [6, 7, 8]);
  groups[3]?.open();
  assert.deepEqual(await Promise.all(all), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('limits hold, and every item gets its own result, for any sizes, limits and failures', async () => {
  const item = fc.record({ size: fc.integer({ min: 0, max: 150 }), poison: fc.integer({ min: 0, max: 9 }).map((n) => n === 0) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(item, { maxLength: 60 }),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 3 }),
      fc.constantFrom(0, 1),
      async (items, maxItems, concurrency, patienceMs) => {
        const maxBytes = 100;
        let running = 0;
        let written: number[] = [];
        const group = new GroupCommit<number, string>({
          maxItems,
          maxBytes,
          concurrency,
          patienceMs,
          sizeOf: (index) => items[index]!.size,
          async commit(indexes) {
            running++;
            assert.ok(running <= concurrency, 'more groups at once than allowed');
            assert.ok(indexes.length <= maxItems);
            const bytes = indexes.reduce((sum, index) => sum + items[index]!.size, 0);
            assert.ok(bytes <= maxBytes || indexes.length === 1, 'a large one goes alone');
            await setImmediate();
            running--;
            if (indexes.some((index) => items[index]!.poison)) throw new Error('poisoned');
            written = written.concat(indexes);
            return indexes.map((index) => `result ${index}`);
          },
        });
        const results = await Promise.allSettled(items.map((_, index) => group.submit(index)));
        for (const [index, result] of results.entries()) {
          if (items[index]!.poison) assert.equal(result.status === 'rejected' && result.reason.message, 'poisoned');
          else assert.equal(result.status === 'fulfilled' && result.value, `result ${index}`);
        }
        const good = [...items.keys()].filter((index) => !items[index]!.poison);
        assert.deepEqual(
          written.toSorted((a, b) => a - b),
          good,
          'each good item is written exactly once',
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('a result that is an Error concerns its item alone and retries nothing', async () => {
  let commits = 0;
  const group = new GroupCommit<number, number>({
    sizeOf: () => 1,
    async commit(items) {
      commits++;
      return items.map((item) => (item === 2 ? new Error('mismatch') : item));
    },
  });
  const results = await Promise.allSettled([1, 2, 3].map((item) => group.submit(item)));
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(commits, 1);
});

for (const [what, error] of [
  ['an unknown outcome', new CommitOutcomeUnknown()],
  ['a lost connection', new Error('Connection terminated unexpectedly')],
] as const) {
  test(`${what} goes to everybody in the group, and nothing is tried again`, async () => {
    let commits = 0;
    const group = new GroupCommit<number, number>({
      sizeOf: () => 1,
      async commit() {
        commits++;
        throw error;
      },
    });
    const results = await Promise.allSettled([1, 2, 3].map((item) => group.submit(item)));
    for (const result of results) assert.equal(result.status === 'rejected' && result.reason, error);
    assert.equal(commits, 1);
  });
}

test('the connection lost while items are retried alone: only the one under way is unknown', async () => {
  const unknown = new CommitOutcomeUnknown({ cause: new Error('Connection terminated unexpectedly') });
  const seen: number[][] = [];
  const group = new GroupCommit<number, number>({
    concurrency: 1,
    sizeOf: () => 1,
    async commit(items) {
      seen.push(items);
      if (items.length > 1) throw new Error('poisoned');
      if (items[0] === 2) throw unknown;
      return items;
    },
  });
  const results = await Promise.allSettled([1, 2, 3].map((item) => group.submit(item)));
  assert.equal(results[0]?.status, 'fulfilled');
  assert.equal(results[1]?.status === 'rejected' && results[1].reason, unknown);
  assert.equal(results[2]?.status === 'rejected' && results[2].reason, unknown.cause);
  assert.deepEqual(seen, [[1, 2, 3], [1], [2]]);
});

test('an answer too few is an error of the items it leaves out, not a wait for ever', async () => {
  const group = new GroupCommit<number, number>({ sizeOf: () => 1, commit: async (items) => items.slice(1) });
  const results = await Promise.allSettled([1, 2].map((item) => group.submit(item)));
  assert.equal(results[1]?.status, 'rejected');
});

test('closing waits for what was taken and refuses the rest', async () => {
  const { groups, commit } = gate();
  const group = new GroupCommit<number, number>({ concurrency: 1, sizeOf: () => 1, commit });
  const first = group.submit(1);
  await setImmediate();
  const second = group.submit(2);
  let closed = false;
  const closing = group[Symbol.asyncDispose]().then(() => {
    closed = true;
  });
  await assert.rejects(group.submit(3), /stopping/);
  groups[0]?.open();
  await first;
  await setImmediate();
  assert.equal(closed, false, 'the second is still under way');
  groups[1]?.open();
  await closing;
  assert.equal(await second, 2);
});
