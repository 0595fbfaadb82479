// What of a message that came by SMTP tells it from another under the same idempotency key.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from './authentication.ts';
import { readSubmission } from './submission.ts';

const principal = { tenantId: 'ten_1', credentialId: 'key_1', allowedDomains: [], test: false } as unknown as Principal;

function hashOf(boundaries: readonly string[], text = 'Hello!'): string {
  const [first = '', ...more] = boundaries;
  const parts = boundaries.map((boundary) => `--${boundary}\r\n\r\n${text}\r\n--${boundary}--\r\n`);
  const raw = [
    'From: shop@shop.example\r\nTo: ada@example.com\r\nSubject: Hello\r\nX-Idempotency-Key: k\r\n',
    `Content-Type: multipart/mixed; boundary="${first}"\r\n\r\n`,
    ...more.map((boundary) => `Content-Type: multipart/alternative; boundary=${boundary}\r\n\r\n`),
    ...parts,
  ].join('');
  const { requestSha256 } = readSubmission({ raw: Buffer.from(raw), recipients: ['ada@example.com'], principal, linkUrl: '' });
  return Buffer.from(requestSha256).toString('hex');
}

test('boundaries that are made anew make no other message, whatever stands in them; another text does', () => {
  const first = hashOf(['=_Part.1+(a)*', '=_Part.1+(a)*-inner']);
  assert.equal(hashOf(['----b[1]|c$^?', '=_Part_2.zzzzzzz']), first, 'one is the beginning of another');
  assert.notEqual(hashOf(['=_Part.1+(a)*', '=_Part.1+(a)*-inner'], 'Bye!'), first);
});

test('a date, an id and a key that are made anew make no other message; lines of its body that look like them do', () => {
  const hash = (header: string, body: string): string => {
    const raw = Buffer.from(`From: shop@shop.example\r\n${header}X-Idempotency-Key: k\r\nSubject: Hello\r\n\r\n${body}\r\n`);
    const { requestSha256 } = readSubmission({ raw, recipients: ['ada@example.com'], principal, linkUrl: '' });
    return Buffer.from(requestSha256).toString('hex');
  };
  const first = hash('Date: Thu, 1 Jan 2026 08:00:00 +0000\r\nMessage-ID:\r\n <a@shop.example>\r\n', 'Date: Monday');
  assert.equal(hash('date: Fri, 2 Jan 2026 08:00:00 +0000\r\nMessage-Id: <b@shop.example>\r\n', 'Date: Monday'), first);
  for (const body of ['Date: Tuesday', 'Message-ID: 2', 'X-Idempotency-Key: 2', 'Date: Monday\r\n\r\nDate: Tuesday'])
    assert.notEqual(hash('Date: Thu, 1 Jan 2026 08:00:00 +0000\r\n', body), first, body);
});

test('a message with boundaries on every line is looked through for fifty of them and no more', (context) => {
  const exec = context.mock.method(RegExp.prototype, 'exec');
  hashOf(Array.from({ length: 2_000 }, (_, index) => `boundary-${index}`));
  const looks = exec.mock.calls.filter((call) => (call.this as RegExp).source.startsWith('boundary\\s'));
  assert.ok(looks.length >= 50 && looks.length <= 51, `looked ${looks.length} times`);
});
