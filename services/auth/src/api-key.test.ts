// What a key looks like, and that its text carries all 256 bits.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateApiKey } from './api-key.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function fromBase62(text: string): Buffer {
  let value = 0n;
  for (const character of text) value = value * 62n + BigInt(alphabet.indexOf(character));
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
}

test('every key has the same form and length, whatever its bytes', () => {
  for (const bytes of [new Uint8Array(32), new Uint8Array(32).fill(255), undefined]) {
    const { key, prefix } = generateApiKey(false, bytes);
    assert.match(key, /^mdsk_[0-9A-Za-z]{43}$/);
    assert.equal(prefix, key.slice(0, 9));
  }
});

test('the text carries all 32 bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const { key } = generateApiKey(false, bytes);
      assert.deepEqual(fromBase62(key.slice('mdsk_'.length)), Buffer.from(bytes));
    }),
  );
});

test('what is stored is the SHA-256 of the whole key', () => {
  const { key, sha256 } = generateApiKey();
  assert.deepEqual(sha256, createHash('sha256').update(key).digest());
});

test('fewer random bytes are refused rather than padded', () => {
  assert.throws(() => generateApiKey(false, new Uint8Array(16)), RangeError);
});

test('no two keys are alike', () => {
  assert.equal(new Set(Array.from({ length: 100 }, () => generateApiKey().key)).size, 100);
});
