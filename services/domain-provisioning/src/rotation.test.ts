// When a key may be changed, and what the change begins with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextRotation, oldRecordNeededMs, type Rotation, rotationState } from './rotation.ts';

const now = new Date('2026-11-21T12:00:00Z');
const md1Signs = [
  { selector: 'md1', active: true },
  { selector: 'md2', active: false },
];
const md2Signs = [
  { selector: 'md1', active: false },
  { selector: 'md2', active: true },
];
const changed = (agoMs: number): Rotation => ({
  from: 'md1',
  to: 'md2',
  requestedAt: new Date(now.getTime() - agoMs),
  changedOverAt: new Date(now.getTime() - agoMs),
});

test('the first time: the key that was made with the domain takes over', () => {
  assert.deepEqual(nextRotation(md1Signs, null, now), { kind: 'begin', from: 'md1', to: 'md2', needsNewKey: false });
});

test('asked for again before the new record was seen: it is the same change', () => {
  const waiting: Rotation = { from: 'md1', to: 'md2', requestedAt: now, changedOverAt: null };
  assert.equal(rotationState(waiting, new Date(now.getTime() + 100 * oldRecordNeededMs)), 'waiting');
  assert.deepEqual(nextRotation(md1Signs, waiting, now), { kind: 'under_way' });
});

test('mail that the old key signed may be under way: too early, and from when', () => {
  const last = changed(oldRecordNeededMs - 1);
  assert.equal(rotationState(last, now), 'changed_over');
  assert.deepEqual(nextRotation(md2Signs, last, now), { kind: 'too_early', possibleFrom: new Date(now.getTime() + 1) });
});

test('after that: back to the other selector, with a key that never signed', () => {
  const last = changed(oldRecordNeededMs);
  assert.equal(rotationState(last, now), 'finished');
  assert.deepEqual(nextRotation(md2Signs, last, now), { kind: 'begin', from: 'md2', to: 'md1', needsNewKey: true });
});
