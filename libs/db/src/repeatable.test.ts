// Which keys can be kept, and what is said of a request that arrived before.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repeatableWith } from './repeatable.ts';

const refused = (code: string, { message }: { message: string }): Error => Object.assign(new Error(message), { code });
const { repeatableOf, storedAnswer } = repeatableWith({
  VALIDATION_ERROR: (options) => refused(options.issues.map(({ path, code }) => `${path} ${code}`).join(), options),
  IDEMPOTENCY_MISMATCH: (options) => refused('mismatch', options),
  IDEMPOTENCY_IN_PROGRESS: (options) => refused(`in progress ${options.retryAfterMs}`, options),
});
const requestSha256 = Buffer.alloc(32, 1);

test('a key is kept with the hash of what is asked; none is none', () => {
  const longest = 'é'.repeat(255);
  assert.deepEqual(repeatableOf({ idempotencyKey: longest, requestSha256 }), { key: longest, requestHash: requestSha256 });
  assert.equal(repeatableOf({ idempotencyKey: '', requestSha256: Buffer.alloc(0) }), undefined);
});

for (const [idempotencyKey, because] of [
  ['x'.repeat(256), 'too long'],
  ['a\nb', 'a line break'],
  ['a\u0085b', 'a control character beyond ASCII'],
] as const) {
  test(`refused: ${because}`, () => {
    assert.throws(() => repeatableOf({ idempotencyKey, requestSha256 }), { code: 'Idempotency-Key invalid_value' });
  });
}

test('a key without a hash is a mistake of the caller, not of its user', () => {
  assert.throws(() => repeatableOf({ idempotencyKey: 'k', requestSha256: Buffer.alloc(0) }), /SHA-256/);
});

test('the stored answer is given again, another request and one that is still running are refused', () => {
  const response = Buffer.from('answer');
  assert.equal(storedAnswer({ outcome: 'replay', response }), response);
  assert.throws(() => storedAnswer({ outcome: 'mismatch' }), { code: 'mismatch' });
  assert.throws(() => storedAnswer({ outcome: 'in_progress' }), { code: 'in progress 1000' });
});
