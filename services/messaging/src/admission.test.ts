import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from './admission.ts';

function fill(admission: Admission, count: number): Disposable[] {
  return Array.from({ length: count }, () => admission.enter(true));
}

test('while requests are answered within a second, any number of them is let in', () => {
  let now = 0;
  const admission = new Admission(() => now);
  fill(admission, 5_000);
  now = 1_000;
  admission.enter(true);
});

test('behind a hundred, the oldest of which waits for longer than a second, nobody is let in until it has its answer', () => {
  let now = 0;
  const admission = new Admission(() => now);
  const [oldest] = fill(admission, 1);
  now = 500;
  fill(admission, 99);
  now = 1_001;
  assert.throws(() => admission.enter(true), { code: 'OVERLOADED', retryAfterMs: 5_000 });
  oldest?.[Symbol.dispose]();
  fill(admission, 2);
  now = 1_501;
  assert.throws(() => admission.enter(true), { code: 'OVERLOADED' });
});

test('a few that take long keep nobody out', () => {
  let now = 0;
  const admission = new Admission(() => now);
  fill(admission, 99);
  now = 60_000;
  admission.enter(true);
});

test('large ones may take long, in whatever number', () => {
  let now = 0;
  const admission = new Admission(() => now);
  for (let count = 0; count < 200; count++) admission.enter(false);
  now = 60_000;
  fill(admission, 200);
});
