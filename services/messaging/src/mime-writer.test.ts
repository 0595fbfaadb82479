// The writer against the composer's own streams: the same tree, the same bytes.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import { writeMime } from './mime-writer.ts';

// No blanks at the very end: the streams encode those apart from the rest and may break the line before them; both are right (RFC 2045).
const words = fc.constantFrom('a', 'e', 'word', ' ', '  ', '.', '\r\n', '\r\n\r\n', '=', 'ü', '🎉', '\t', 'x'.repeat(200));
const text = fc.oneof(
  fc.constant(''),
  fc.string({ unit: words, maxLength: 200 }).map((written) => written.replace(/[ \t]+$/, '')),
);
const filename = fc.constantFrom('a.txt', 'größe.bin', 'x.eml', '');
const cid = fc.constantFrom(undefined, 'logo');
const attachment = fc.oneof(
  fc.record({
    ...{ filename, cid },
    content: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    contentType: fc.constantFrom('text/plain', 'image/png', 'application/octet-stream'),
  }),
  // Not encoded, and so nothing but lines of 7 bit gets here (mime.ts).
  fc.record({
    ...{ filename, cid },
    content: fc.string({ unit: fc.constantFrom('a', ':', ' ', '\r\n'), maxLength: 300 }).map((lines) => Buffer.from(lines)),
    contentType: fc.constant('message/rfc822'),
  }),
);

it('writes what the composer writes', async () => {
  await fc.assert(
    fc.asyncProperty(text, text, text, fc.array(attachment, { maxLength: 3 }), async (subject, plain, html, attachments) => {
      const tree = () =>
        new MailComposer({
          from: { name: 'Shop', address: 'shop@sender.example' },
          to: [{ name: 'Ä', address: 'a@rcpt.example' }],
          subject,
          text: plain,
          html,
          messageId: '<one@sender.example>',
          date: new Date(0),
          baseBoundary: 'fixed',
          attachments: attachments.map(({ cid, ...one }) => ({ ...one, ...(cid !== undefined && { cid }) })),
        }).compile();
      assert.equal(writeMime(tree()).toString('latin1'), (await tree().build()).toString('latin1'));
    }),
    { numRuns: 300 },
  );
});
