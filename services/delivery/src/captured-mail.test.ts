import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import fc from 'fast-check';
import { codesIn, linksIn, maxParsedBytes, readMail } from './captured-mail.ts';

describe('readMail', () => {
  it('reads headers, bodies, links and codes', async () => {
    const mail = await readMail(
      Buffer.from(
        [
          'From: =?utf-8?q?J=C3=B6rg?= <joerg@shop.test>',
          'To: Ann <ann@x.test>, bob@x.test',
          'Subject: Code 1234',
          'Content-Type: text/html; charset=utf-8',
          '',
          '<p>Use <b>482913</b> or <a href="https://shop.test/?a=1&amp;b=2">this</a>.</p>',
        ].join('\r\n'),
      ),
    );
    assert.equal(mail.headerFrom, 'Jörg <joerg@shop.test>');
    assert.equal(mail.headerTo, 'Ann <ann@x.test>, bob@x.test');
    assert.deepEqual(mail.links, ['https://shop.test/?a=1&b=2']);
    assert.deepEqual(mail.codes, ['1234', '482913']);
  });

  it('shows a large mail by its headers only', async () => {
    const raw = Buffer.concat([Buffer.from('Subject: large\r\n\r\n'), Buffer.alloc(maxParsedBytes, 'x 123456 ')]);
    const mail = await readMail(raw);
    assert.equal(mail.subject, 'large');
    assert.deepEqual([mail.text, mail.codes], ['', []]);
  });

  // Each took seconds to minutes where it was looked at again from every character on.
  const hostile: [string, string, string][] = [
    ['html', `<style>${'<'.repeat(200_000)}`, 'an open element full of brackets'],
    ['html', '<a'.repeat(100_000), 'tags without an end'],
    ['html', '<p hidden '.repeat(20_000), 'attributes without an end'],
    ['html', `<a href="https://x.test/${'&#0'.repeat(60_000)}">`, 'character references without an end'],
    ['plain', `https://x.test/${'.'.repeat(150_000)}a`, 'a link of full stops'],
    ['plain', 'http://'.repeat(25_000), 'links without a host'],
    ['plain', '1234'.repeat(45_000), 'digits only'],
  ];
  for (const [type, body, why] of hostile) {
    it(`takes time in proportion to the size: ${why}`, async () => {
      const startedAt = cpuMs();
      await readMail(Buffer.from(`Subject: x\r\nContent-Type: text/${type}; charset=utf-8\r\n\r\n${body}\r\n`));
      const tookMs = cpuMs() - startedAt;
      assert.ok(tookMs < 1_500, `${tookMs} ms`);
    });
  }

  it('takes anything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
        const mail = await readMail(Buffer.from(bytes));
        for (const text of [mail.subject, mail.text, mail.html, mail.headerFrom, mail.headerTo]) {
          assert.ok(!text.includes('\0') && text.isWellFormed());
        }
      }),
    );
  });
});

describe('codesIn', () => {
  // text, codes, why.
  const cases: [string, string[], string][] = [
    ['Your code is 482913.', ['482913'], 'before a full stop'],
    ['code: 1234, again 1234', ['1234'], 'once each'],
    ['123 and 123456789', [], 'too short, too long'],
    ['482 913 or 771-442.', ['482913', '771442'], 'in two groups of three'],
    ['1 000 000, 555 123 456, 123-456-789, (030) 123 456', [], 'more groups than two'],
    ['030-123456 or +49 (0)1234/5678', [], 'telephone numbers'],
    ['1,234.5678 EUR', [], 'amounts'],
    ['ABC123456', [], 'part of a word'],
    ['https://x.test/123456 and 654321', ['654321'], 'not in a link'],
    ['code:482913 or Código:4829', ['482913', '4829'], 'right behind a word and its colon'],
    ['G-482913 is your code', ['482913'], 'behind one letter'],
    ['ORDER-12345, a-b-1234', [], 'numbers of orders'],
    ['at 12:3045, localhost:8080, mail.example.com:2525', [], 'times and ports'],
  ];
  for (const [text, codes, why] of cases) it(why, () => assert.deepEqual(codesIn(text), codes));
});

it('linksIn finds each once, those of attributes first, and only of the web', () => {
  const html = `<a href='https://a.test'>x</a><img src="cid:logo"><a href="mailto:x@y.test">m</a><a href="https://a.test">again</a>`;
  assert.deepEqual(linksIn(html, 'See https://b.test/x), or http://a.test.'), ['https://a.test', 'https://b.test/x', 'http://a.test']);
  assert.deepEqual(linksIn('', '(https://b.test/p_(1)) https://b.test/(2). https://b.test/3)).'), [
    'https://b.test/p_(1)',
    'https://b.test/(2)',
    'https://b.test/3',
  ]);
});
