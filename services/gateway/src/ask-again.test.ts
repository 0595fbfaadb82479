import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RpcError, rpcErrors } from '@maildoot/rpc/errors';
import { askAgain, rereading } from './ask-again.ts';

const away = () => rpcErrors.UNAVAILABLE({ message: 'away' });

/** Fails so many times, then answers; keeps the deadlines it was given. */
function peer(failures: number, error: () => Error = away, tookMs = 0) {
  const deadlines: number[] = [];
  return {
    deadlines,
    async ask(deadlineMs: number): Promise<string> {
      deadlines.push(deadlineMs);
      if (tookMs > 0) await new Promise((resolve) => setTimeout(resolve, tookMs));
      if (deadlines.length <= failures) throw error();
      return 'answer';
    },
  };
}

for (const failures of [0, 1, 2, 3]) {
  test(`${failures} tries that meet nobody, and then an answer`, async (context) => {
    // A machine that is busy for a third of a second would use up the patience.
    context.mock.method(performance, 'now', () => 0);
    const { ask, deadlines } = peer(failures);
    let again = 0;
    assert.equal(await askAgain(ask, { deadlineMs: 5000, again: () => again++ }), 'answer');
    assert.equal(deadlines.length, failures + 1);
    assert.equal(again, failures);
    assert.ok(deadlines.every((deadlineMs, index) => deadlineMs <= (index === 0 ? 5000 : (deadlines[index - 1] as number))));
  });
}

test('who stays away is told to the caller, not for as long as the deadline allows', async () => {
  const { ask, deadlines } = peer(Number.POSITIVE_INFINITY);
  const startedAt = performance.now();
  await assert.rejects(askAgain(ask, { deadlineMs: 15_000 }), { code: 'UNAVAILABLE' });
  assert.ok(performance.now() - startedAt < 12_000);
  assert.ok(deadlines.length >= 2 && deadlines.length <= 4, `${deadlines.length} tries`);
});

test('a call that hung for long is still made once more, at once, and no pause is added', async () => {
  const { ask, deadlines } = peer(Number.POSITIVE_INFINITY, away, 700);
  await assert.rejects(askAgain(ask, { deadlineMs: 15_000 }), { code: 'UNAVAILABLE' });
  assert.equal(deadlines.length, 2);
});

test('anything else than UNAVAILABLE is not asked again', async () => {
  for (const error of [rpcErrors.TIMEOUT, rpcErrors.INTERNAL_ERROR, rpcErrors.CANCELLED]) {
    const { ask, deadlines } = peer(1, () => error({ message: 'no' }));
    await assert.rejects(askAgain(ask, { deadlineMs: 5000 }), { code: error.code });
    assert.equal(deadlines.length, 1);
  }
});

test('who has too much to do is passed over once', async () => {
  const busy = () => new RpcError('OVERLOADED', { status: 'UNAVAILABLE', retryable: true }, { message: 'busy' });
  const one = peer(1, busy);
  assert.equal(await askAgain(one.ask, { deadlineMs: 5000 }), 'answer');
  const all = peer(9, busy);
  await assert.rejects(askAgain(all.ask, { deadlineMs: 5000 }), { code: 'OVERLOADED' });
  assert.equal(all.deadlines.length, 2);
});

test('the caller is told the longest time that any of them said', async () => {
  const times = [1000, 5000, undefined, 1000];
  const { ask } = peer(9, () => rpcErrors.UNAVAILABLE({ message: 'away', retryAfterMs: times.shift() ?? 0 }));
  await assert.rejects(askAgain(ask, { deadlineMs: 5000 }), { retryAfterMs: 5000 });
});

test('nor when the deadline is over, or nobody waits any more', async () => {
  const late = peer(9);
  await assert.rejects(askAgain(late.ask, { deadlineMs: 30 }), { code: 'UNAVAILABLE' });
  assert.ok(late.deadlines.length <= 2, `${late.deadlines.length} tries`);
  const gone = peer(9);
  await assert.rejects(askAgain(gone.ask, { deadlineMs: 5000, signal: AbortSignal.abort() }), { code: 'UNAVAILABLE' });
  assert.equal(gone.deadlines.length, 1);
});

test('of a client the methods that are named ask again, with its deadline or the call’s, and the others don’t', async () => {
  const seen: unknown[] = [];
  const failing = async (request: unknown, options?: { deadlineMs?: number }): Promise<unknown> => {
    seen.push([request, options?.deadlineMs !== undefined]);
    if (seen.length === 1) throw away();
    return 'answer';
  };
  const client = rereading({ read: failing, write: failing }, ['read'], 1000);
  assert.equal(await client.read('question'), 'answer');
  assert.deepEqual(seen, [
    ['question', true],
    ['question', true],
  ]);
  seen.length = 0;
  await assert.rejects(client.write('order'), { code: 'UNAVAILABLE' });
});
