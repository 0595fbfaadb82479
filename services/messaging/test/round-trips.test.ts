// What a sender gives is what a mail program of another make reads: addresses, names, subjects, headers, bodies and attachments, whatever is in
// them. Python's email package reads (policy.SMTPUTF8). The short form draws the same messages each time, RUNS=n (`make properties`) new ones; the seed is
// printed, SEED=n repeats it.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import { formatAddress, mailboxOf, parseAddress } from '@maildoot/mail/address';
import { foldHeader, parseHeaderBlock, unfold } from '@maildoot/mail/headers';
import { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import fc from 'fast-check';
import { messageIssues } from '../src/message-rules.ts';
import { composeMime, createMimeFreezer, maxMimeBytes } from '../src/mime.ts';
import { MimeWitness, missing, type Seen } from './mime-witness.ts';

const date = new Date('2026-11-21T10:00:00Z');
const numRuns = Number(process.env.RUNS || 150);
const skip = missing;

/** fast-check's settings of one test; its seed is in the output, so that what failed once can be had again. */
function settings(t: TestContext): { seed: number; numRuns: number } {
  const seed = Number(process.env.SEED || (process.env.RUNS ? randomInt(2 ** 31) : 1));
  t.diagnostic(`seed ${seed}, ${numRuns} runs`);
  return { seed, numRuns };
}

// Text that means something to a header, to MIME or to SMTP, beside anything.
const pieces = fc.constantFrom(
  ...['a', 'Word', ' ', '  ', '.', ',', ';', ':', '"', '\\', '<', '>', '@', '(', ')', '=', '=?', '?=', '=?utf-8?q?x?=', '=3D', '_', "'"],
  ...[
    'ü',
    'é',
    'ß',
    '日本',
    'عربي',
    '👍',
    '👩‍👩‍👧‍👦',
    '🇩🇪',
    '\u0301',
    '\u200d',
    '\u00a0',
    'x'.repeat(80),
    'ü'.repeat(60),
    '-'.repeat(70),
    '--',
    '%',
    '{{',
    'From ',
  ],
);
const line = (maxLength: number) =>
  fc
    .oneof(
      fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
      fc.string({ unit: 'grapheme', maxLength }),
    )
    .map((text) =>
      // A sender can't give these: the rules refuse them, and a test of its own sees to that.
      text
        .replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, '')
        .slice(0, maxLength)
        .toWellFormed()
        .replaceAll('\ufffd', ''),
    );
const breaks = fc.constantFrom(
  '\n',
  '\r\n',
  '\r',
  '\n.\n',
  '\r\n.\r\n',
  '\n..',
  '\n.QUIT\r\n',
  '\r.\r',
  '\nFrom ',
  '\n--',
  '\n\n',
  ' \n',
  '\t\n',
);
const body = fc
  .array(fc.oneof(line(60), breaks, fc.constantFrom('y'.repeat(1200), 'ö'.repeat(700), '<p>', '</p>', '\t', '\0', '\x7f', '\x1b')), {
    maxLength: 20,
  })
  .map((all) => all.join(''));

// What isn't an address after all is left out below.
const beyondAscii = fc
  .tuple(
    fc.oneof(fc.constantFrom('jörg', 'пошта', '用户', '"ö ,b"', 'zoe\u0308'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })),
    fc.domain(),
  )
  .map(([local, domain]) => `${local}@${domain}`);
const address = fc
  .tuple(fc.oneof({ weight: 4, arbitrary: fc.emailAddress() }, { weight: 1, arbitrary: beyondAscii }), line(60))
  .map(([email, name]) => ({ email, name }));
const attachment = fc.record({
  filename: line(80),
  content: fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.constantFrom('\r\n.\r\n', '.', 'a\nb\r', '--', 'x'.repeat(2000)).map((text) => Buffer.from(text)),
  ),
  contentType: fc.constantFrom('', 'image/png', 'text/plain', 'text/csv; charset=iso-8859-1', 'application/pdf'),
  inline: fc.boolean(),
});

// What a reader takes for an encoded word (RFC 2047), line breaks inside included.
const seeminglyEncoded = fc.constantFrom('=?utf-8?q?x?=', 'Re: =?utf-8?B?eA==?=', '=?utf-8?q?x=0D=0ABcc:_a@b.example?=');

const given = fc.record({
  from: address,
  to: fc.array(address, { minLength: 1, maxLength: 5 }),
  cc: fc.array(address, { maxLength: 3 }),
  replyTo: fc.array(address, { maxLength: 2 }),
  subject: fc.oneof({ weight: 9, arbitrary: line(300) }, { weight: 1, arbitrary: seeminglyEncoded }),
  text: body,
  html: body,
  // A header of the sender's own is taken as it stands, encoded words of his own included.
  own: line(300).map((text) => text.replaceAll('=?', '')),
  attachments: fc.array(attachment, { maxLength: 3 }),
});
type Given = typeof given extends fc.Arbitrary<infer T> ? T : never;

function messageOf({ own, ...parts }: Given): OutgoingMessage | undefined {
  const normal = ({ email, name }: { email: string; name: string }) => {
    const result = mailboxOf(email, name);
    return result.ok ? { email: result.mailbox.address, name: result.mailbox.name } : undefined;
  };
  const all = (list: Given['to']) => list.flatMap((one) => normal(one) ?? []);
  const from = normal(parts.from);
  if (from === undefined) return undefined;
  const message = OutgoingMessage.fromPartial({
    ...parts,
    ...{ id: newId('msg'), from, to: all(parts.to), cc: all(parts.cc), replyTo: all(parts.replyTo) },
    headers: own.trim() === '' ? [] : [{ name: 'X-Own', value: own }],
    attachments: parts.attachments.map((one) => ({ ...one, content: Buffer.from(one.content) })),
  });
  return messageIssues(message, new Date()).length === 0 ? message : undefined;
}

/** Runs of white space are one: folding makes no difference between them (RFC 5322 section 2.2.3), nor does any reader. */
const squashed = (text: string | null | undefined) => (text ?? '').replace(/[ \t]+/g, ' ').trim();
const crlf = (text: string) => text.replace(/\r\n|\r|\n/g, '\r\n');
/** The last line of a message is ended, whether or not its sender did. */
const ended = (text: string | null) => (text ?? '').replace(/(?:\r\n)+$/, '');
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('what a sender gives is what Python reads', { skip }, () => {
  let witness: MimeWitness;
  before(() => {
    witness = new MimeWitness();
  });
  after(() => witness?.[Symbol.asyncDispose]());

  it('a whole message', async (t) => {
    let looked = 0;
    await fc.assert(
      fc.asyncProperty(given, async (parts) => {
        const message = messageOf(parts);
        if (message === undefined) return;
        looked++;
        same(message, await witness.read(await composeMime(message, date)));
      }),
      settings(t),
    );
    assert.ok(looked > numRuns / 3, `only ${looked} of ${numRuns} were messages`);
  });

  it('attachments at the limit of 40 MB', async () => {
    await using freezer = createMimeFreezer();
    // Base64 in lines of 76 characters, and a little for the headers.
    const content = randomBytes(Math.floor(((maxMimeBytes - 2_000) / 78) * 57));
    const message = OutgoingMessage.fromPartial({
      ...{ id: newId('msg'), from: { email: 'a@sender.example' }, to: [{ email: 'b@rcpt.example' }], subject: 'Großes', text: '.\n' },
      attachments: [{ filename: 'groß 📦.bin', content }],
    });
    const mime = await freezer.freeze(message, date, undefined);
    assert.ok(mime.length <= maxMimeBytes && mime.length > maxMimeBytes - 4_000, `${mime.length} bytes`);
    same(message, await witness.read(mime));
  });
});

function same(message: OutgoingMessage, seen: Seen): void {
  const list = (all: { email: string; name: string }[]) =>
    all.length === 0 ? null : all.map(({ email, name }) => [squashed(name), email]);
  const seenList = (all: [string, string][] | null) => all?.map(([name, email]) => [squashed(name), email]) ?? null;
  assert.deepEqual(seenList(seen.from), list([message.from!]));
  assert.deepEqual(seenList(seen.to), list(message.to));
  assert.deepEqual(seenList(seen.cc), list(message.cc));
  assert.deepEqual(seenList(seen.reply_to), list(message.replyTo));
  assert.equal(squashed(seen.subject), squashed(message.subject));
  assert.equal(squashed(seen.own), squashed(message.headers[0]?.value));
  if (message.text !== '') assert.equal(ended(seen.text), ended(crlf(message.text)));
  assert.equal(ended(seen.html), ended(crlf(message.html)));
  assert.deepEqual(
    seen.attachments.map(({ filename, size, sha256: hash }) => [squashed(filename), size, hash]),
    message.attachments.map(({ filename, content }) => [squashed(filename), content.length, sha256(content)]),
  );
  // An encoded word in a parameter is against RFC 2047 section 5 and read by everybody; RFC 2231's form stands beside it in another field.
  const named = message.attachments.some(({ filename }) => !/^[\w .-]*$/.test(filename));
  // Quotes around what looks like an encoded word say that it is none; Python wonders.
  const odd = [message.from!, ...message.to, ...message.cc, ...message.replyTo].some(({ name }) => name.includes('=?'));
  // RFC 6532, which Python calls a defect and reads.
  const utf8Fields = Object.entries({ from: [message.from!], to: message.to, cc: message.cc, 'reply-to': message.replyTo }).flatMap(
    ([name, all]) => (all.some(({ email }) => /[\u0080-\u{10ffff}]/u.test(email)) ? [name] : []),
  );
  assert.deepEqual(seen.utf8_fields.toSorted(), utf8Fields.toSorted());
  const defects = seen.defects.filter(
    (defect) =>
      !/: (?:NonASCIILocalPart|UndecodableBytes)Defect$/.test(defect) || !utf8Fields.includes(defect.split(':')[0]!.toLowerCase()),
  );
  assert.deepEqual(
    defects.filter((defect) => !(defect.endsWith(': InvalidHeaderDefect') && (defect.startsWith('Content-Type') ? named : odd))),
    [],
  );
  assert.deepEqual([seen.bare, seen.eight_bit, seen.longest_line <= 998], [false, utf8Fields.length > 0, true]);
  const names = [
    'from',
    'to',
    'cc',
    'reply-to',
    'subject',
    'message-id',
    'date',
    'mime-version',
    'content-type',
    'content-transfer-encoding',
    'x-own',
  ];
  assert.deepEqual(
    seen.names.filter((name, index) => !names.includes(name) || seen.names.indexOf(name) !== index),
    [],
  );
}

describe('what is written is read back', () => {
  it('an address with its name', (t) => {
    fc.assert(
      fc.property(address, ({ email, name }) => {
        const made = mailboxOf(email, name);
        if (!made.ok) return;
        const again = parseAddress(formatAddress(made.mailbox));
        assert.deepEqual(again, made);
      }),
      settings(t),
    );
  });

  it('a header, folded', (t) => {
    fc.assert(
      fc.property(line(500), (text) => {
        const value = squashed(text.replace(/[^\x20-\x7e]/g, 'x'));
        if (value === '') return;
        const folded = foldHeader('X-Own', value);
        assert.equal(unfold(folded), `X-Own: ${value}`);
        assert.equal(parseHeaderBlock(Buffer.from(`${folded}\r\n\r\n`)).fields[0]?.value, value);
      }),
      settings(t),
    );
  });
});

describe('a line break never gets into a header', () => {
  it('whichever field it is in, the message is refused', (t) => {
    const control = fc.constantFrom('\r', '\n', '\r\n', '\r\nBcc: x@y.example', '\n\n', '\0', '\u2028', '\u2029', '\u0085');
    const field = fc.constantFrom(
      'from',
      'to',
      'cc',
      'replyTo',
      'subject',
      'header',
      'header name',
      'filename',
      'contentType',
      'contentId',
      'email',
      'url',
      'tag',
    );
    fc.assert(
      fc.property(field, line(20), control, line(20), (where, before, evil, behind) => {
        const text = `${before}${evil}${behind}`;
        const named = { email: 'a@rcpt.example', name: text };
        const message = OutgoingMessage.fromPartial({
          ...{ id: newId('msg'), from: { email: 'a@sender.example' }, to: [{ email: 'b@rcpt.example' }], subject: 'x', text: 'x' },
          ...(where === 'from' && { from: { email: 'a@sender.example', name: text } }),
          ...(where === 'to' && { to: [named] }),
          ...(where === 'cc' && { cc: [named] }),
          ...(where === 'replyTo' && { replyTo: [named] }),
          ...(where === 'subject' && { subject: text }),
          ...(where === 'header' && { headers: [{ name: 'X-Own', value: text }] }),
          ...(where === 'header name' && { headers: [{ name: text, value: 'x' }] }),
          ...(where === 'filename' && { attachments: [{ filename: text, content: Buffer.from('x') }] }),
          ...(where === 'contentType' && { attachments: [{ contentType: `text/plain; x="${text}"`, content: Buffer.from('x') }] }),
          ...(where === 'contentId' && { attachments: [{ contentId: text, content: Buffer.from('x') }] }),
          ...(where === 'email' && { to: [{ email: `${text}@rcpt.example` }] }),
          ...(where === 'url' && { unsubscribe: { url: `https://x.example/${text}` } }),
          ...(where === 'tag' && { tags: [text] }),
        });
        assert.notDeepEqual(messageIssues(message, new Date()), [], where);
      }),
      settings(t),
    );
  });
});
