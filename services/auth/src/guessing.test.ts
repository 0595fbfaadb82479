// How long a guess has to wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgottenAfterMs, guessed, paces, waitMs } from './guessing.ts';

const now = new Date('2026-11-21T12:00:00Z');
const before = (ms: number) => new Date(now.getTime() - ms);

test('the first few are free, then each wait is twice the one before, up to the longest', () => {
  const waits = [0, 4, 5, 6, 7, 10, 11, 40].map((failures) => waitMs({ failures, lastAt: now }, paces.account, now));
  assert.deepEqual(waits, [0, 0, 1000, 2000, 4000, 32_000, 60_000, 60_000]);
});

test('what has passed of the wait counts, and everything is forgotten after an hour', () => {
  assert.equal(waitMs(undefined, paces.account, now), 0);
  assert.equal(waitMs({ failures: 7, lastAt: before(3000) }, paces.account, now), 1000);
  assert.equal(waitMs({ failures: 7, lastAt: before(4000) }, paces.account, now), 0);
  assert.equal(waitMs({ failures: 1000, lastAt: before(forgottenAfterMs) }, paces.address, now), 0);
});

test('an address is its holder’s network, an account itself, and neither can be read', () => {
  assert.deepEqual(guessed('address', '2001:db8:1:2::1'), guessed('address', '2001:db8:1:2:ffff::2'));
  assert.notDeepEqual(guessed('address', '2001:db8:1:2::1'), guessed('address', '2001:db8:1:3::1'));
  assert.notDeepEqual(guessed('address', '198.51.100.1'), guessed('address', '198.51.100.2'));
  assert.notDeepEqual(guessed('account', 'a@b.example'), guessed('reset', 'a@b.example'));
  assert.equal(guessed('account', 'a@b.example').length, 32);
});
