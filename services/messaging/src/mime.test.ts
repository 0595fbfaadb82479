// What leaves the composer: lines in CRLF and short enough, headers that nobody can add to, parts that come back as they went in.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { parseHeaderBlock } from '@maildoot/mail/headers';
import { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import { cpuMs } from '@maildoot/testkit/cpu';
import fc from 'fast-check';
import { messageIssues } from './message-rules.ts';
import { composed, composeMime, createMimeFreezer, isSurelyTooLarge, maxMimeBytes, workerFromBytes } from './mime.ts';

const date = new Date('2026-11-21T10:00:00Z');
type Parts = Parameters<typeof OutgoingMessage.fromPartial>[0];
const address = (email: string, name = '') => ({ email, name });

function message(parts: Parts = {}): OutgoingMessage {
  return OutgoingMessage.fromPartial({
    id: newId('msg'),
    from: address('shop@sender.example', 'Shop'),
    to: [address('a@rcpt.example')],
    subject: 'Hi',
    text: 'Hello',
    ...parts,
  });
}

async function headersOf(parts: Parts): Promise<Map<string, string>> {
  const { fields } = parseHeaderBlock(await composeMime(message(parts), date));
  const names = fields.map((field) => field.name.toLowerCase());
  assert.equal(new Set(names).size, names.length, `a header stands twice: ${names.join()}`);
  return new Map(fields.map((field) => [field.name.toLowerCase(), field.value]));
}

describe('headers', () => {
  it('are those of the message: its id, the date of acceptance, the addresses, never Bcc', async () => {
    const own = message({ cc: [address('c@rcpt.example')], bcc: [address('hidden@rcpt.example')], replyTo: [address('r@sender.example')] });
    const mime = await composeMime(own, date);
    const headers = new Map(parseHeaderBlock(mime).fields.map((field) => [field.name, field.value]));
    assert.equal(headers.get('Message-ID'), `<${own.id}@sender.example>`);
    assert.equal(headers.get('Date'), 'Sat, 21 Nov 2026 10:00:00 +0000');
    assert.equal(headers.get('From'), 'Shop <shop@sender.example>');
    assert.equal(headers.get('To'), 'a@rcpt.example');
    assert.equal(headers.get('Cc'), 'c@rcpt.example');
    assert.equal(headers.get('Reply-To'), 'r@sender.example');
    assert.ok(!mime.includes('hidden@rcpt.example'));
  });

  it('say that there are recipients when all of them are in Bcc', async () => {
    const headers = await headersOf({ to: [], bcc: [address('hidden@rcpt.example')] });
    // A group without members (RFC 5322 section 3.4), quoted by the composer.
    assert.equal(headers.get('to'), '"undisclosed-recipients":;');
  });

  it('carry names and subjects beyond ASCII as encoded words (RFC 2047)', async () => {
    const headers = await headersOf({ from: address('shop@sender.example', 'Bücher & Co'), subject: 'Grüße 🎉' });
    assert.match(headers.get('from') ?? '', /^=\?UTF-8\?Q\?B=C3=BCcher_=26_Co\?= <shop@sender\.example>$/i);
    assert.match(headers.get('subject') ?? '', /^[\x20-\x7e]+$/);
  });

  it('have an address beyond ASCII as UTF-8 (RFC 6532), with the domain of the envelope; the rest stays ASCII', async () => {
    const to = [address('jörg@xn--bcher-kva.example', 'Jörg'), address('a@xn--bcher-kva.example'), address('"ö ,b"@rcpt.example')];
    const mime = await composeMime(message({ to, replyTo: [address('пошта@sender.example')] }), date);
    const lines = mime.toString('utf8').split('\r\n');
    assert.deepEqual(
      lines.filter((line) => /[\u0080-\u{10ffff}]/u.test(line)),
      [
        'To: =?UTF-8?Q?J=C3=B6rg?= <jörg@xn--bcher-kva.example>,',
        ' a@xn--bcher-kva.example, <"ö ,b"@rcpt.example>',
        'Reply-To: пошта@sender.example',
      ],
    );
    const built = await composed(message({ to }), { text: 'Hello', html: '', messageId: '<x@y>', date }).compile().build();
    assert.ok(built.includes('jörg@b'), 'what the composer’s own streams write is UTF-8 as well');
  });

  it('unsubscribe by a mailto: URL, which is ASCII whatever the address is (RFC 6068)', async () => {
    const headers = await headersOf({ unsubscribe: { mailto: 'grüße@sender.example?subject=leave' } });
    assert.equal(headers.get('list-unsubscribe'), '<mailto:gr%C3%BC%C3%9Fe@sender.example?subject=leave>');
  });

  it('of the caller are added and replace nothing', async () => {
    const headers = await headersOf({
      headers: [
        { name: 'X-Order', value: '17 äöü' },
        { name: 'List-Unsubscribe', value: '<https://x.example/u>' },
      ],
    });
    assert.equal(headers.get('x-order'), `=?UTF-8?B?${Buffer.from('17 äöü').toString('base64')}?=`);
    assert.equal(headers.get('list-unsubscribe'), '<https://x.example/u>');
  });

  it('get no line of their own from any text that passes the rules, and the rules stop the rest', async () => {
    const nasty = fc.string({
      unit: fc.constantFrom('a', ' ', '\r', '\n', '\t', ':', '"', '<', '>', '@', ',', ';', '=?', 'ü', '\0', '\u2028', 'Bcc: x@y.example'),
    });
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
    await fc.assert(
      fc.asyncProperty(nasty, nasty, nasty, nasty, async (name, subject, value, filename) => {
        const one = message({
          from: address('shop@sender.example', name),
          to: [address('a@rcpt.example', name)],
          subject,
          headers: [{ name: 'X-Own', value }],
          attachments: filename === '' ? [] : [{ filename, content: Buffer.from('x') }],
        });
        if (messageIssues(one, new Date()).length > 0) return;
        const { fields, malformedLines } = parseHeaderBlock(await composeMime(one, date));
        assert.equal(malformedLines, 0);
        for (const field of fields) assert.ok(names.includes(field.name.toLowerCase()), `an extra header: ${field.name}`);
      }),
      { numRuns: 300 },
    );
  });
});

describe('bodies', () => {
  const texts: [string, string][] = [
    ['bare LF', 'a\nb\nc'],
    ['bare CR', 'a\rb'],
    ['mixed', 'a\r\nb\nc\rd'],
    ['a dot on its line', 'a\n.\nb'],
    ['a line of 5,000 characters', 'x'.repeat(5_000)],
    ['beyond ASCII', 'Grüße\n'.repeat(50)],
    ['NUL', 'a\0b'],
  ];
  for (const [reason, text] of texts) {
    it(`${reason}: only CRLF ends lines, none is over 998 characters, all is 7 bit`, async () => {
      for (const parts of [{ text }, { text: '', html: text }, { text, html: `<p>${text}</p>` }]) {
        const mime = (await composeMime(message(parts), date)).toString('latin1');
        assert.doesNotMatch(mime, /\r(?!\n)|(?<!\r)\n/);
        assert.ok(mime.split('\r\n').every((line) => line.length <= 998));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
        assert.doesNotMatch(mime, /[\x00\x80-\xff]/);
      }
    });
  }

  it('get their text from the html when there is none', async () => {
    const mime = (await composeMime(message({ text: '', html: '<p>Dear <b>Ann</b></p>' }), date)).toString();
    assert.match(mime, /text\/plain/);
    assert.match(mime, /Dear Ann/);
  });

  it('have no html part when there is none', async () => {
    const mime = (await composeMime(message(), date)).toString();
    assert.doesNotMatch(mime, /text\/html|multipart/);
  });
});

describe('attachments', () => {
  it('survive, with their names', async () => {
    const content = randomBytes(5_000);
    const mime = (await composeMime(message({ attachments: [{ filename: 'größe.bin', content }] }), date)).toString();
    assert.ok(mime.replaceAll('\r\n', '').includes(content.toString('base64')));
    assert.match(mime, /Content-Disposition: attachment/);
    assert.match(mime, /gr%C3%B6%C3%9Fe\.bin|=\?UTF-8/i);
  });

  it('with a content id stand beside the html that shows them', async () => {
    const mime = (
      await composeMime(
        message({
          html: '<img src="cid:logo">',
          attachments: [{ filename: 'l.png', contentId: 'logo', inline: true, content: Buffer.from('x') }],
        }),
        date,
      )
    ).toString();
    assert.match(mime, /multipart\/related/);
    assert.match(mime, /Content-I[dD]: <logo>/);
    assert.match(mime, /Content-Disposition: inline/);
  });

  it('that are messages stay messages when their lines allow it, and are plain bytes when not (RFC 2046 section 5.2.1)', async () => {
    const eml = (content: string) => ({ attachments: [{ filename: 'old.eml', content: Buffer.from(content) }] });
    const kept = (await composeMime(message(eml('Subject: x\r\n\r\ny\r\n')), date)).toString();
    assert.match(kept, /Content-Type: message\/rfc822/);
    for (const content of [
      'Subject: x\n\ny\n',
      'Subject: x\r\n\r\nü\r\n',
      `Subject: x\r\n\r\n${'y'.repeat(1_200)}\r\n`,
      'a\rb',
      '\r\n.\n',
    ]) {
      const mime = (await composeMime(message(eml(content)), date)).toString('latin1');
      assert.match(mime, /Content-Type: application\/octet-stream/);
      assert.doesNotMatch(mime, /\r(?!\n)|(?<!\r)\n/);
    }
  });

  it('that can’t fit are known before composing', () => {
    assert.equal(isSurelyTooLarge(message({ attachments: [{ content: Buffer.alloc((maxMimeBytes / 4) * 3 + 3) }] })), true);
    assert.equal(isSurelyTooLarge(message({ attachments: [{ content: Buffer.alloc(1_000_000) }] })), false);
  });
});

describe('the freezer', () => {
  const freezer = createMimeFreezer();
  after(() => freezer[Symbol.asyncDispose]());

  it('composes big messages in its worker, as small ones here, and leaves the event loop alone meanwhile', async () => {
    const content = randomBytes(8 * workerFromBytes);
    const big = message({ attachments: [{ filename: 'a.bin', content: Buffer.from(content) }] });
    const startedAt = cpuMs();
    const [first, second] = await Promise.all([
      freezer.freeze(big, date, undefined),
      freezer.freeze(message({ attachments: [{ filename: 'b.bin', content }] }), date, undefined),
    ]);
    const endedAt = cpuMs();
    const composed = await composeMime(big, date);
    const [here, composing] = [endedAt - startedAt, cpuMs() - endedAt];
    assert.ok(first.equals(composed));
    assert.match(second.subarray(0, 2_000).toString('latin1'), /b\.bin/);
    assert.ok(big.attachments[0]!.content.equals(content), 'the caller keeps its bytes');
    assert.ok(here < 1.5 * composing, `two messages took ${here} ms of this thread; to compose one of them takes ${composing}`);
  });
});
