// What of a message that came by SMTP tells it from another under the same idempotency key, which of our own fields stand
// once, and whom of the envelope the header shows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import type { Principal } from './authentication.ts';
import { readSubmission } from './submission.ts';

const principal = { tenantId: 'ten_1', credentialId: 'key_1', allowedDomains: [], test: false } as unknown as Principal;

const hashOf = (raw: string): string => {
  const { requestSha256 } = readSubmission({ raw: Buffer.from(raw), recipients: ['ada@example.com'], principal, linkUrl: '' });
  return Buffer.from(requestSha256).toString('hex');
};

const header = 'From: shop@shop.example\r\nTo: ada@example.com\r\nSubject: Hello\r\nX-Idempotency-Key: k\r\n';

/** Two parts, the first of which has two; a boundary is quoted, or not. */
function nested([outer, inner]: [string, string], text = 'Hello!', type = 'multipart/alternative'): string {
  const part = (boundary: string, content: string): string => `--${boundary}\r\n${content}\r\n`;
  return [
    `${header}Content-Type: multipart/mixed;\r\n name="; boundary=x"; boundary="${outer}"\r\n\r\nA preamble.\r\n`,
    part(outer, `X-Content-Type: ${type}\r\nContent-type: ${type}; Boundary=${inner}\r\n`),
    part(inner, `\r\n${text}`) + part(inner, 'Content-Type: text/html\r\n\r\n<p>Hello!</p>'),
    `--${inner}--\r\n`,
    part(outer, 'Content-Type: text/plain\r\n\r\nThe end.'),
    `--${outer}--\r\n`,
  ].join('');
}

test('boundaries that are made anew make no other message, whatever stands in them; another text does', () => {
  const first = hashOf(nested(['=_Part.1+(a)*', '=_Part.1+(a)*-inner']));
  assert.equal(hashOf(nested(['----b[1]|c$^?', '=_Part_2.zzzzzzz--'])), first, 'one is the beginning of another');
  assert.equal(hashOf(nested(['a', 'b'])), first, 'short ones');
  assert.notEqual(hashOf(nested(['a', 'b'], 'Bye!')), first);
});

test('what looks like a boundary and is none is text: of a plain message, of a part, of what is forwarded', () => {
  const differ = (one: string, other: string): void => assert.notEqual(hashOf(one), hashOf(other), `${one}\n\n${other}`);
  for (const type of ['', 'Content-Type: text/plain; boundary=11111111\r\n']) {
    differ(`${header}${type}\r\nboundary=11111111\r\n`, `${header}${type}\r\nboundary=22222222\r\n`);
    differ(`${header}${type}\r\n--11111111\r\n`, `${header}${type}\r\n--22222222\r\n`);
  }
  // Within a line, in the words of a part, in the header of a part that is no multipart, and with the boundary that another has.
  differ(nested(['11111111', 'bb'], 'a 11111111'), nested(['11111111', 'bb'], 'a '));
  differ(nested(['aa', 'bb'], 'boundary="11111111"'), nested(['aa', 'bb'], 'boundary="22222222"'));
  differ(nested(['aa', '11111111'], 'Hi', 'message/rfc822'), nested(['aa', '22222222'], 'Hi', 'message/rfc822'));
  differ(nested(['aa', 'bb'], '--aabb'), nested(['aa', 'bb'], '--aacc'));
  differ(nested(['aa', 'bb'], 'Hi\r\n--bb\r\n\r\nHo'), nested(['aa', 'bb'], 'Hi\r\n--aa\r\n\r\nHo'));
});

test('a date, an id and a key that are made anew make no other message; lines of its body that look like them do', () => {
  const hash = (more: string, body: string): string => hashOf(`${header}${more}\r\n${body}\r\n`);
  const first = hash('Date: Thu, 1 Jan 2026 08:00:00 +0000\r\nMessage-ID:\r\n <a@shop.example>\r\n', 'Date: Monday');
  assert.equal(hash('date: Fri, 2 Jan 2026 08:00:00 +0000\r\nMessage-Id: <b@shop.example>\r\n', 'Date: Monday'), first);
  for (const body of ['Date: Tuesday', 'Message-ID: 2', 'X-Idempotency-Key: 2', 'Date: Monday\r\n\r\nDate: Tuesday'])
    assert.notEqual(hash('Date: Thu, 1 Jan 2026 08:00:00 +0000\r\n', body), first, body);
});

test('many parts, and deep ones, take time in proportion to their number', () => {
  const deep = Array.from({ length: 20_000 }, (_, depth) => `--b${depth}\r\nContent-Type: multipart/mixed; boundary=b${depth + 1}\r\n\r\n`);
  const raw = `${header}Content-Type: multipart/mixed; boundary=b0\r\n\r\n${deep.join('')}${'--b20000\r\n'.repeat(100_000)}${'--\r\n'.repeat(500_000)}`;
  const startedAt = cpuMs();
  hashOf(raw);
  const took = cpuMs() - startedAt;
  assert.ok(took < 5000, `${took} ms`);
});

test('two keys, two templates or two sets of variables are refused', () => {
  for (const field of ['X-Idempotency-Key: k', 'X-Template: order', 'X-Variables: {}'])
    assert.throws(
      () => hashOf(`${header.replace('X-Idempotency-Key: k\r\n', '')}${`${field}\r\n`.repeat(2)}\r\nHello!\r\n`),
      /not valid/,
      field,
    );
});

test('who stands in To or Cc in other letters is no blind copy, and gets it at the envelope’s address', () => {
  const raw = Buffer.from('From: shop@shop.example\r\nTo: Ada <Ada@Example.com>\r\nCc: CY@example.com\r\n\r\nHello!\r\n');
  const recipients = ['ada@example.com', 'cy@example.com', 'bob@example.com'];
  const { messages } = readSubmission({ raw, recipients, principal, linkUrl: '' });
  assert.deepEqual(messages[0]?.to, [{ email: 'ada@example.com', name: 'Ada' }]);
  assert.deepEqual(messages[0]?.cc, [{ email: 'cy@example.com', name: '' }]);
  assert.deepEqual(messages[0]?.bcc, [{ email: 'bob@example.com', name: '' }]);
});
