// Which slips are understood, and what is too far off to guess.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from './nearest-name.ts';

const known = [
  'from',
  'to',
  'cc',
  'bcc',
  'reply_to',
  'subject',
  'html',
  'text',
  'headers',
  'attachments',
  'tags',
  'metadata',
  'send_at',
  'idempotency_key',
];

for (const [typed, expected, because] of [
  ['replyTo', 'reply_to', 'camel case'],
  ['Reply-To', 'reply_to', 'a header’s spelling'],
  ['subjcet', 'subject', 'swapped letters'],
  ['tag', 'tags', 'singular'],
  ['sendAt', 'send_at', 'camel case'],
  ['form', 'from', 'swapped letters'],
  ['attachement', 'attachments', 'a common misspelling'],
  ['recipient', undefined, 'another word'],
  ['body', undefined, 'another word'],
  ['template_id', undefined, 'a field of a later version'],
  ['x', undefined, 'too short to tell'],
  ['', undefined, 'nothing'],
  ['to'.repeat(100), undefined, 'nobody’s slip'],
] as const) {
  test(`${JSON.stringify(typed.slice(0, 20))} → ${expected ?? 'none'}: ${because}`, () =>
    assert.equal(nearestName(typed, known), expected));
}
