import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasUtf8Address } from './utf8-address.ts';

for (const [header, expected] of [
  ['To: jörg@example.com', true],
  ['From: Ada <ada@example.com>\r\nCc: a@example.com,\r\n Jörg <jörg@example.com>', true],
  ['Reply-To: "jörg müller"@example.com', true],
  ['To: a@bücher.example', true],
  ['To: friends: пошта@example.com;', true],
  ['To: Jörg <joerg@example.com>', false],
  ['To: "jörg@home" <joerg@example.com>', false],
  ['Subject: jörg@example.com', false],
  ['To: a@example.com\r\n\r\nTo: jörg@example.com', false],
] as const)
  test(`${JSON.stringify(header)} → ${expected}`, () => {
    assert.equal(hasUtf8Address(Buffer.from(`${header}\r\nX-Last: x\r\n\r\nGrüße\r\n`)), expected);
  });

test('bytes of another charset are none', () => {
  assert.equal(hasUtf8Address(Buffer.from('To: j\xf6rg@example.com\r\n\r\nx\r\n', 'latin1')), false);
});
