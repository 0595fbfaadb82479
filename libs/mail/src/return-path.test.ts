// Return paths: fixed vectors, so that tokens under way outlive a release, and what no token may be.

import assert from 'node:assert/strict';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { readReturnPath, returnPathLocalPart } from './return-path.ts';

const key = { id: 'k1', key: Buffer.alloc(32, 1) };
const other = { id: 'k2', key: Buffer.alloc(32, 2) };
const holder = { messageId: '019bd274-f400-7ab3-8c5f-ff9c92679e95', recipientNumber: 7 };

// Made by Python's hmac and base64.
test('a fixed vector', () => {
  const local = returnPathLocalPart(key, holder);
  assert.equal(local, 'b+agn5e5huab5lhdc776ojez46suaao4xgthhh4');
  assert.equal(local.length, 39);
  assert.deepEqual(readReturnPath([key], local), holder);
});

test('whatever case servers make of it, and by any of the keys', () => {
  const local = returnPathLocalPart(other, holder);
  assert.deepEqual(readReturnPath([key, other], local.toUpperCase()), holder);
  assert.equal(readReturnPath([key], local), undefined);
});

test('every message and number comes back as it was', () => {
  for (let round = 0; round < 500; round++) {
    const one = { messageId: randomUUID(), recipientNumber: randomInt(65_536) };
    const signer = { id: 'x', key: randomBytes(32) };
    const local = returnPathLocalPart(signer, one);
    assert.match(local, /^b\+[a-z2-7]{37}$/);
    assert.deepEqual(readReturnPath([signer], local), one);
  }
});

test('one changed character anywhere makes it none', () => {
  const local = returnPathLocalPart(key, holder);
  for (let at = 0; at < local.length; at++) {
    for (const character of 'abcdefghijklmnopqrstuvwxyz234567+=') {
      if (local[at] === character) continue;
      assert.equal(readReturnPath([key], local.slice(0, at) + character + local.slice(at + 1)), undefined, `${at} ${character}`);
    }
  }
});

test('what is no return path', () => {
  const local = returnPathLocalPart(key, holder);
  for (const text of [
    '',
    'b',
    'b+',
    'postmaster',
    local.slice(0, -1),
    `${local}a`,
    ` ${local}`,
    local.replace('b+', 'b-'),
    local.slice(2),
    `b+${'a'.repeat(37)}`,
    `b+${'ı'.repeat(37)}`,
  ])
    assert.equal(readReturnPath([key], text), undefined, text);
});
