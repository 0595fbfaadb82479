// From fields of messages that came by SMTP: what is one address to every reader, and what isn't.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from './authentication.ts';
import { ApiError } from './errors.ts';
import { readSubmission } from './submission.ts';

const principal = { tenantId: 'ten_1', credentialId: 'key_1', allowedDomains: [], test: false } as unknown as Principal;

/** Name and address; undefined where it is refused. */
function fromOf(field: string): string[] | undefined {
  const raw = Buffer.from(`From: ${field}\r\nTo: ada@example.com\r\n\r\nHello!\r\n`);
  try {
    const { messages } = readSubmission({ raw, recipients: ['ada@example.com'], principal, linkUrl: '' });
    return [messages[0]?.from?.name ?? '', messages[0]?.from?.email ?? ''];
  } catch (error) {
    assert.ok(error instanceof ApiError);
    assert.deepEqual(
      error.issues.map(({ path, code }) => [path, code]),
      [['from', 'invalid_email']],
    );
    return undefined;
  }
}

test('one address is read, however it is written', () => {
  for (const [field, name] of [
    ['shop@us.example', ''],
    ['shop@us.example (The Shop)', 'The Shop'],
    ['Shop\r\n <shop@us.example>', 'Shop'],
    ['"Shop, \\"Inc.\\" <other@bank.example>" <shop@us.example>', 'Shop, "Inc." <other@bank.example>'],
    ['"Shop: boss@bank.example, Inc.;" <shop@us.example>', 'Shop: boss@bank.example, Inc.;'],
    ['(by boss@bank.example, at: x;) Shop <shop@us.example>', 'Shop'],
    ['shop@us.example <shop@us.example>', ''],
    ['ÜÄ <shop@us.example>', 'ÜÄ'],
    ['=?utf-8?q?=C3=9C?= <shop@us.example> (EU)', 'Ü'],
    ['Shop [EU]<shop@us.example>,', 'Shop [EU]'],
  ])
    assert.deepEqual(fromOf(field ?? ''), [name, 'shop@us.example'], field);
});

test('what one reader takes for another address than the next is refused', () => {
  for (const field of [
    '<shop@us.example> <boss@bank.example>',
    '<shop@us.example> boss@bank.example',
    'boss@bank.example <shop@us.example>',
    'boss@bank.example (x) <shop@us.example>',
    '"boss"@bank.example <shop@us.example>',
    '"boss"@us.example <"shop"@us.example>',
    'boss@bank.example: <shop@us.example>',
    ',boss@bank.example <shop@us.example>',
    'Boss: <shop@us.example>',
    'Boss; <shop@us.example>',
    'Boss, Inc. <shop@us.example>',
    'shop@us.example boss@bank.example',
    'shop@us.example (x) boss@bank.example',
    '"x" <shop@us.example> "boss@bank.example"',
    '(a (b) <shop@us.example> ) <boss@bank.example>',
    '(a (b <boss@bank.example>) <shop@us.example>',
    '(a\\) <shop@us.example>) <boss@bank.example>',
    'boss@bank.example\0<shop@us.example>',
    '<shop@us.example (> boss@bank.example)',
    '"x <shop@us.example>',
    '<<shop@us.example>>',
    'Shop: shop@us.example;',
    'shop@us.example, boss@bank.example',
    `${'"'}${'\\"'.repeat(100_000)} <shop@us.example>`,
  ])
    assert.equal(fromOf(field), undefined, field.slice(0, 80));
});
