// Files as callers send them → as messaging wants them: bytes with a name that is safe to keep.
import type { Attachment } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { type Context, controls, refuse } from './schema-parts.ts';

const maxFilenameChars = 255;

// RFC 2045 section 5.1; multipart is the composer's business.
const token = "[A-Za-z0-9!#$%&'*+.^_`{|}~-]+";
const contentTypePattern = new RegExp(
  `^(?!multipart/)${token}/${token}(?: ?; ?${token}=(?:${token}|"[^"\\\\\\p{Cc}\\u0080-\\u{10ffff}]*"))*$`,
  'iu',
);
// RFC 2392: it goes between angle brackets into a header and into a cid: URL of the HTML.
const contentIdPattern = /^[\x21-\x3b\x3d\x3f-\x7e]{1,255}$/;

export const attachment = z
  .strictObject({
    filename: z
      .string()
      .transform(filenameFrom)
      .meta({
        examples: ['invoice.pdf'],
        description: 'At most 255 characters, without a path.',
        minLength: 1,
        maxLength: maxFilenameChars,
        pattern: '^[^/\\\\\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$',
      }),
    content: z
      .string()
      .transform(bytesFrom)
      .meta({ contentEncoding: 'base64', description: 'The bytes in base64 (RFC 4648 section 4), without line breaks.' }),
    content_type: z
      .string()
      .transform((text, context) =>
        text.length <= 255 && contentTypePattern.test(text)
          ? text
          : refuse(context, text, 'invalid_content_type', 'A content type is like image/png; multipart types are not possible.'),
      )
      .nullish()
      .meta({ description: 'By default from the file name.', examples: ['application/pdf'] }),
    content_id: z
      .string()
      .transform((text, context) =>
        contentIdPattern.test(text)
          ? text
          : refuse(context, text, 'invalid_content_id', 'A content id consists of up to 255 visible ASCII characters without < and >.'),
      )
      .meta({ pattern: '^[!-;=?-~]{1,255}$' })
      .nullish()
      .meta({ description: 'For `cid:` links in the HTML.' }),
    disposition: z
      .enum(['attachment', 'inline'])
      .nullish()
      .meta({ description: 'By default `inline` with a `content_id`, else `attachment`.' }),
  })
  .transform(
    (value): Attachment => ({
      filename: value.filename,
      content: value.content,
      contentType: value.content_type ?? '',
      contentId: value.content_id ?? '',
      inline: (value.disposition ?? (value.content_id == null ? 'attachment' : 'inline')) === 'inline',
    }),
  );

function filenameFrom(text: string, context: Context): string {
  if (text === '') return refuse(context, text, 'too_short', 'A file name must not be empty.');
  if (text.length > maxFilenameChars) return refuse(context, text, 'too_long', `A file name has at most ${maxFilenameChars} characters.`);
  if (controls.test(text)) return refuse(context, text, 'control_character', 'Control characters are not allowed in a file name.');
  if (/[/\\]/.test(text) || text === '.' || text === '..')
    return refuse(context, text, 'invalid_filename', 'A file name has no path: no / and no \\.');
  return text;
}

/** Strict without a pass over the text in JavaScript: a decoder that met anything foreign gives fewer bytes than the length promises. */
function bytesFrom(text: string, context: Context): Buffer {
  const bytes = Buffer.from(text, 'base64');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  // Node's decoder takes the URL alphabet too.
  if (text.length % 4 !== 0 || bytes.length !== (text.length / 4) * 3 - padding || text.includes('-') || text.includes('_')) {
    return refuse(context, '', 'invalid_base64', 'The content must be base64 with padding, without line breaks, spaces or a data: prefix.');
  }
  return bytes;
}
