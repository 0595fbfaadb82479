// The short way against the composer: the same message, the same bytes, or no answer.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import fc from 'fast-check';
import { composed } from './mime.ts';
import { plainMime } from './mime-plain.ts';
import { writeMime } from './mime-writer.ts';

const id = 'msg_01m7z8fq0sects32w2thsn2thp';
const date = new Date('2026-11-21T10:00:00Z');

interface Parts {
  from?: { email: string; name: string };
  to?: { email: string; name: string }[];
  cc?: { email: string; name: string }[];
  replyTo?: { email: string; name: string }[];
  subject?: string;
  text?: string;
  html?: string;
}

/** Both ways; the short one may say nothing. */
function both(parts: Parts): { plain: string | undefined; composer: string } {
  const message = OutgoingMessage.fromPartial({
    id,
    from: { email: 'shop@sender.example', name: 'The Shop' },
    to: [{ email: 'a@rcpt.example', name: '' }],
    subject: 'Order 7 confirmed',
    ...parts,
  });
  const { text, html } = message;
  const messageId = `<${id}@sender.example>`;
  const plain = plainMime({ ...message, from: message.from!, messageId }, date);
  return {
    plain: plain?.toString('latin1'),
    composer: writeMime(composed(message, { text, html, messageId, date }).compile()).toString('latin1'),
  };
}

const email = fc.oneof(
  fc.constantFrom(
    'a@rcpt.example',
    'first.last+tag@sub.rcpt.example',
    'a@xn--bcher-kva.example',
    '"a b"@rcpt.example',
    "o'neil@rcpt.example",
    'A@rcpt.example',
  ),
  fc.integer({ min: 1, max: 60 }).map((length) => `${'x'.repeat(length)}@rcpt.example`),
);
const name = fc.constantFrom('', 'Ada', 'Ada B_1', 'Doe, Jane', 'Ünder', 'a  b', 'a.b', '=?x?=');
const addresses = (min: number) => fc.array(fc.record({ email, name }), { minLength: min, maxLength: 3 });
const words = fc.constantFrom(
  'a',
  'word',
  ' ',
  '  ',
  '.',
  '\r\n',
  '\r\n\r\n',
  '=',
  '=20',
  '\t',
  'ü',
  '🎉',
  'übermäßig',
  '\x7f',
  'x'.repeat(80),
  'y'.repeat(25),
  '1234 ',
  '-- ',
  '.\r\n',
  'From ',
  '<p>',
  '!',
);
const body = fc.string({ unit: words, minLength: 1, maxLength: 120 });
const subject = fc.oneof(
  fc.constantFrom('x', '', ' x', 'x ', 'a\tb', 'Ü', '=?utf-8?Q?x?=', 'a: b', 'a  b'),
  fc.integer({ min: 1, max: 90 }).map((length) => 'subject '.repeat(12).slice(0, length)),
);

it('makes what the composer makes of lines around the limit, and of texts without a letter', () => {
  for (const length of [74, 75, 76, 77, 78, 79]) {
    for (const line of ['x', '7', '7 ', '=']) {
      const text = `${line.repeat(length).slice(0, length)}\r\n${'7'.repeat(length - 1)}`;
      const { plain, composer } = both({ text });
      if (plain !== undefined) assert.equal(plain, composer, `${length} times ${line}`);
    }
  }
});

it('makes what the composer makes, or nothing', () => {
  fc.assert(
    fc.property(
      addresses(0),
      addresses(0),
      addresses(0),
      subject,
      fc.option(body),
      fc.option(body),
      (to, cc, replyTo, line, text, html) => {
        const { plain, composer } = both({ to, cc, replyTo, subject: line, text: text ?? '', html: html ?? '' });
        if (plain !== undefined) assert.equal(plain, composer);
      },
    ),
    { numRuns: 3000 },
  );
});

it('does make the body of most mail, whatever its lines are', () => {
  fc.assert(
    fc.property(body, fc.option(body), (one, other) => {
      const [text, html] = [one, other ?? ''].map((part) => `${'letters\r\n'.repeat(40)}${part}`.replace(/\x7f/g, 'u'));
      const { plain, composer } = both({ text: text ?? '', html: other === null ? '' : (html ?? '') });
      assert.equal(plain, composer);
    }),
    { numRuns: 1000 },
  );
});
