// DKIM signatures, verified by an implementation of another make (mailauth) with a DNS stub.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import fc from 'fast-check';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { bodyHash, DkimError, relaxedBody, relaxedField, signDkim } from './dkim.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const records = new Map([
  ['md1._domainkey.example.com', `v=DKIM1; k=rsa; p=${rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`],
  [
    'ed1._domainkey.example.com',
    `v=DKIM1; k=ed25519; p=${ed25519.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64')}`,
  ],
]);

async function resolver(name: string): Promise<string[][]> {
  const text = records.get(name);
  if (text === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  return [[text]];
}

async function verify(message: Buffer) {
  const { results } = await dkimVerify(message, { resolver });
  const [result] = results;
  assert.ok(result !== undefined && results.length === 1);
  return { result: result.status.result, domain: result.signingDomain, algo: result.algo };
}

async function signed(message: Buffer, key: KeyObject = rsa.privateKey, selector = 'md1'): Promise<Buffer> {
  const header = await signDkim(message, { domain: 'example.com', selector, key, signTime: new Date('2026-01-02T03:04:05Z') });
  return Buffer.concat([header, message]);
}

const header = [
  'From: =?utf-8?Q?Zo=C3=AB?= <a@example.com>',
  'To: "Doe, Jane" <jane@example.org>,',
  '\tother@example.org',
  'Subject: a  folded',
  '   subject\twith white space  ',
  'Date: Fri, 02 Jan 2026 03:04:05 +0000',
  'Message-ID: <msg_1@example.com>',
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'X-Utf8: à la carte \u00a0',
].join('\r\n');

const mail = (body: string | Buffer, headers = header) => Buffer.concat([Buffer.from(`${headers}\r\n\r\n`), Buffer.from(body)]);

const bodies: [string, string | Buffer][] = [
  ['simple', 'Hello\r\n\r\nworld\r\n'],
  ['long lines', `${'x'.repeat(5000)}\r\n${'word '.repeat(2000)}\r\n`],
  ['trailing white space and runs of it', 'a  b\t\tc \t \r\n \t\r\n x \r\n\td\r\n'],
  ['empty', ''],
  ['one empty line', '\r\n'],
  ['empty lines only', '\r\n\r\n\r\n'],
  ['white space only', ' \t\r\n  \r\n'],
  ['empty lines at the end', 'a\r\n\r\n\r\n\r\n'],
  ['white space lines at the end', 'a\r\n \r\n\t\r\n  '],
  ['no CRLF at the end', 'a\r\nb'],
  ['white space at the end without CRLF', 'a\r\nb  '],
  ['8-bit', 'Grüße, мир, 👩‍💻\u00a0\r\n'],
  ['8-bit that is no UTF-8', Buffer.from('a\xa0\xff\xfe \x80 \r\n', 'latin1')],
  ['dots', '.\r\n..\r\n.a\r\n...\r\n'],
  ['empty lines first', '\r\n\r\na\r\n'],
  ['like a header', 'From: x@example.net\r\nDKIM-Signature: v=1\r\n\r\n'],
];

for (const [name, body] of bodies) {
  test(`verifies: ${name}`, async () => {
    assert.deepEqual(await verify(await signed(mail(body))), { result: 'pass', domain: 'example.com', algo: 'rsa-sha256' });
  });
}

test('verifies: 5 MB, canonical and not; one flipped byte in the middle or at the end fails', async () => {
  const base64 = `${'QUJD'.repeat(19)}\r\n`;
  const loose = `${'two  blanks, a\ttab and one at the end '.repeat(2)} \r\n`;
  for (const line of [base64, loose]) {
    const message = mail(line.repeat(Math.ceil(5e6 / line.length)));
    const whole = await signed(message);
    assert.equal((await verify(whole)).result, 'pass');
    for (const at of line === base64 ? [whole.length - 2_500_007] : [whole.length - 10]) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      assert.equal((await verify(flipped)).result, 'neutral', `byte ${at} of ${whole.length}`);
    }
  }
});

test('verifies with Ed25519', async () => {
  const message = await signed(mail('Hello\r\n'), ed25519.privateKey, 'ed1');
  const { result, algo } = await verify(message);
  assert.deepEqual([result, algo], ['pass', 'ed25519-sha256']);
});

test('any flipped body byte fails', async () => {
  const message = await signed(mail('Hello world\r\nsecond line\r\n'));
  const bodyStart = message.indexOf('\r\n\r\n') + 4;
  for (let at = bodyStart; at < message.length - 2; at++) {
    const flipped = Buffer.from(message);
    flipped[at] = (flipped[at] ?? 0) ^ 0x40;
    assert.notEqual((await verify(flipped)).result, 'pass', `byte ${at - bodyStart}`);
  }
});

test('changed and added headers fail, unsigned ones may be added', async () => {
  const message = (await signed(mail('x\r\n'))).toString('latin1');
  const check = async (text: string) => (await verify(Buffer.from(text, 'latin1'))).result;
  assert.equal(await check(message), 'pass');
  assert.equal(await check(message.replace('<jane@', '<john@')), 'fail');
  for (const added of [
    'From: boss@example.com',
    'Subject: other',
    'Reply-To: x@example.net',
    'Cc: x@example.net',
    'Content-Type: text/html',
  ]) {
    assert.equal(await check(`${added}\r\n${message}`), 'fail', added);
    assert.equal(await check(message.replace('\r\n\r\n', `\r\n${added}\r\n\r\n`)), 'fail', `${added} below`);
  }
  assert.equal(await check(`Received: from a by b; now\r\nX-Spam: no\r\n${message}`), 'pass');
  assert.equal(await check(message.replace('folded\r\n   subject', 'folded subject')), 'pass', 'refolded on the way');
});

test('every occurrence of a repeated field is signed, from the bottom up; List-Unsubscribe too', async () => {
  const headers = `${header}\r\nReferences: <1@x>\r\nReferences: <2@x>\r\nList-Unsubscribe: <https://example.com/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click`;
  const message = await signed(mail('x\r\n', headers));
  assert.equal((await verify(message)).result, 'pass');
  const names = /h=([^;]*);/.exec(message.toString('latin1'))?.[1]?.replace(/\s/g, '').split(':') ?? [];
  const count = (name: string) => names.filter((other) => other === name).length;
  assert.deepEqual(
    [count('from'), count('cc'), count('references'), count('list-unsubscribe'), count('list-unsubscribe-post'), count('x-utf8')],
    [2, 1, 2, 1, 1, 0],
  );
  assert.notEqual((await verify(Buffer.from(message.toString('latin1').replace('<1@x>', '<3@x>'), 'latin1'))).result, 'pass');
});

test('the header has short lines and the tags asked for', async () => {
  const text = (
    await signDkim(mail('x\r\n'), { domain: 'example.com', selector: 'md1', key: rsa.privateKey, signTime: new Date(1_700_000_000_999) })
  ).toString('latin1');
  assert.match(text, /^DKIM-Signature: v=1; a=rsa-sha256; c=relaxed\/relaxed; d=example\.com; s=md1;\r\n t=1700000000; h=from: from:/);
  assert.ok(text.endsWith('\r\n'));
  for (const line of text.split('\r\n')) assert.ok(line.length <= 78, line);
});

test('a message without body separator and one with bare line feeds are signed as they are sent', async () => {
  const headerOnly = Buffer.from(`${header}\r\n`);
  assert.equal((await verify(Buffer.concat([await signed(headerOnly), Buffer.from('\r\n')]))).result, 'pass');
  const bare = Buffer.from(`${header}\r\n\r\na \nb\n\n`);
  const signature = await signDkim(bare, { domain: 'example.com', selector: 'md1', key: rsa.privateKey });
  const onTheWire = Buffer.from(bare.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
  assert.equal((await verify(Buffer.concat([signature, onTheWire]))).result, 'pass');
});

test('refuses messages without From and keys that are none', async () => {
  const key = { domain: 'example.com', selector: 'md1' };
  const code = (expected: string) => (error: unknown) => error instanceof DkimError && error.code === expected;
  await assert.rejects(signDkim(Buffer.from('To: a@example.com\r\n\r\nx'), { ...key, key: rsa.privateKey }), code('NO_FROM'));
  await assert.rejects(signDkim(mail('x'), { ...key, key: rsa.publicKey }), code('KEY_TYPE'));
  await assert.rejects(
    signDkim(mail('x'), { ...key, key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
    code('KEY_TYPE'),
  );
});

// RFC 6376 section 3.4.4, literally; slow and on strings.
function relaxedBodyByTheBook(body: string): string {
  const lines = body.split(/\r\n|(?<!\r)\n/).map((line) => line.replace(/[ \t]+/g, ' ').replace(/ $/, ''));
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  return lines.map((line) => `${line}\r\n`).join('');
}

test('the relaxed body is that of the standard, and canonicalising again changes nothing', async () => {
  const unit = fc.constantFrom('\r\n', '\r\n', ' ', ' ', '\t', 'a', 'b', '\xe9', '\n', '.');
  await fc.assert(
    fc.asyncProperty(fc.string({ unit, maxLength: 40 }), async (text) => {
      const body = Buffer.from(text, 'latin1');
      const expected = relaxedBodyByTheBook(text);
      assert.equal(relaxedBody(body).toString('latin1'), expected);
      assert.equal(relaxedBody(relaxedBody(body)).toString('latin1'), expected);
      assert.equal(await bodyHash(body), createHash('sha256').update(expected, 'latin1').digest('base64'));
    }),
    { numRuns: 1500 },
  );
});

test('nothing is lost or doubled where windows of a big body meet', async () => {
  const size = 512 * 1024;
  for (const seam of ['  ', ' \r\n', '\r\n', 'a \t', '\t\t\r\n \r\n', `${' '.repeat(100)}b`]) {
    for (let shift = 0; shift <= 4; shift++) {
      const text = `${'x'.repeat(size - shift)}${seam}y\r\n${'z'.repeat(size)}${seam}`;
      const expected = createHash('sha256').update(relaxedBodyByTheBook(text), 'latin1').digest('base64');
      assert.equal(await bodyHash(Buffer.from(text)), expected, JSON.stringify([seam.slice(0, 5), shift]));
    }
  }
});

test('the example of RFC 6376 section 3.4.5', () => {
  assert.equal(relaxedField('A: X'), 'a:X');
  assert.equal(relaxedField('B : Y\t\r\n\tZ  '), 'b:Y Z');
  assert.equal(relaxedBody(Buffer.from(' C \r\nD \t E\r\n\r\n\r\n')).toString(), ' C\r\nD E\r\n');
  assert.equal(relaxedField('X: caf\xc3\xa0'), 'x:caf\xc3\xa0');
});

test('time grows with the size only, whatever the body is', async () => {
  for (const unit of [' ', '\t', '\r\n', ' \r\n', 'a ', 'a  ', '\n', '\r', ' \ta\r\n']) {
    const body = Buffer.from(unit.repeat(Math.ceil(5e6 / unit.length)));
    const startedAt = cpuMs();
    await bodyHash(body);
    const took = cpuMs() - startedAt;
    assert.ok(took < 1500, `${JSON.stringify(unit)}: ${took} ms`);
  }
});
