// A message as the API takes it: one schema that validates, converts to what messaging wants and is printed in the OpenAPI document.
// messaging checks again behind it; here everything is found at once and said kindly.
import { type AddressProblem, type AddressResult, mailboxOf, parseAddress } from '@maildoot/mail/address';
import { type HeaderProblem, refusedHeaders } from '@maildoot/mail/headers';
import type { Address, Attachment, Header, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { maxKeyChars } from './idempotency-key.ts';

export const maxRecipients = 1000;
export const maxTags = 10;
export const maxTagChars = 256;
export const maxMetadataBytes = 4096;
export const maxSubjectChars = 998;
export const maxAttachments = 100;
export const maxFilenameChars = 255;
export const maxSendAtDays = 30;
export const maxMessageBytes = 40 * 1024 * 1024;
const dayMs = 86_400_000;

// Line breaks and other controls, the two Unicode line breaks, halves of surrogate pairs: nothing of these gets into a header.
const controls = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

type Context = z.core.$RefinementCtx;

function refuse(context: Context, input: unknown, code: string, message: string, path: PropertyKey[] = []): never {
  context.addIssue({ code: 'custom', input, message, path, params: { code } });
  return z.NEVER;
}

// zod leaves checks of a whole out when a part of it is wrong; everything is to be told at once.
const besideOthers = { when: (payload: z.core.ParsePayload): boolean => isObject(payload.value) };

/** Beside other problems, but not where one of these fields is the problem itself. */
function besideOthersThan(...fields: string[]): typeof besideOthers {
  return { when: (payload) => isObject(payload.value) && !payload.issues.some((issue) => fields.includes(String(issue.path?.[0]))) };
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What of a record has the right type: checks beside other problems see the wrong ones too. */
function textEntries(record: Record<string, unknown>): [string, string][] {
  return Object.entries(record).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
}

/** A list that is not looked into when it is too long: zod would write down what is wrong with each of a million items first. */
function listOf<S extends z.ZodType>(item: S, min: number, max: number) {
  return z.preprocess((value, context) => {
    if (!Array.isArray(value) || value.length <= max) return value;
    context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input: value });
    return z.NEVER;
  }, z.array(item).min(min).max(max));
}

/** Text by name, with the same care. */
function textsByName(max: number) {
  return z.preprocess(
    (value, context) => {
      if (!isObject(value) || Object.keys(value as object).length <= max) return value;
      context.addIssue({ code: 'too_big', origin: 'array', maximum: max, inclusive: true, input: value });
      return z.NEVER;
    },
    z.record(z.string(), z.string()),
  );
}

// ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const addressText = z
  .string()
  .transform((text, context) => addressFrom(parseAddress(text), text, context, []))
  .meta({ description: '`name@example.com` or `Name <name@example.com>`', examples: ['Ada <ada@example.com>'] });

const addressObject = z.strictObject({ email: z.string(), name: z.string().optional() }).transform((value, context) => {
  // A control character is the only problem that either part may have; the message should be at the part that has it.
  const inName = controls.test(value.name ?? '');
  const result = mailboxOf(value.email, value.name);
  return addressFrom(result, value, context, [inName || isNameProblem(result) ? 'name' : 'email']);
});

const address = z.union([addressText, addressObject]).meta({ id: 'AddressInput' });
const addresses = z.union([address.transform((one) => [one]), listOf(address, 1, maxRecipients)]);

function addressFrom(result: AddressResult, input: unknown, context: Context, path: PropertyKey[]): Address {
  if (!result.ok) return refuse(context, input, addressCode(result.problem), result.message, path);
  if (result.mailbox.needsSmtpUtf8) {
    return refuse(
      context,
      input,
      'smtputf8_unsupported',
      'Addresses with characters beyond ASCII before the @ are not supported; the domain and the name may have them.',
      path,
    );
  }
  return { email: result.mailbox.address, name: result.mailbox.name };
}

function isNameProblem(result: AddressResult): boolean {
  return !result.ok && (result.problem === 'name' || result.problem === 'name_too_long');
}

function addressCode(problem: AddressProblem): string {
  if (problem === 'control_character') return 'control_character';
  return problem === 'name' || problem === 'name_too_long' ? 'invalid_name' : 'invalid_email';
}

// ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

const headerCode: Record<HeaderProblem, string> = {
  name_syntax: 'invalid_header_name',
  name_too_long: 'too_long',
  reserved: 'forbidden_header',
  control_character: 'control_character',
  value_too_long: 'too_long',
  unbreakable: 'too_long',
  duplicate: 'duplicate_header',
};
const maxHeaders = 100;

const headers = textsByName(maxHeaders)
  .check(
    z.superRefine((record, context) => {
      const list = headerList(record);
      for (const { index, problem, message } of refusedHeaders(list))
        refuse(context, record, headerCode[problem], message, [list[index]?.name ?? '']);
    }, besideOthers),
  )
  .transform(headerList)
  .meta({
    description: 'Extra headers, name to value. Line breaks and names with a meaning of their own are refused.',
    examples: [{ 'X-Order': '4711' }],
  });

function headerList(record: Record<string, string>): Header[] {
  return textEntries(record).map(([name, value]) => ({ name, value }));
}

// ── attachments ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// RFC 2045 section 5.1; multipart is the composer's business.
const token = "[A-Za-z0-9!#$%&'*+.^_`{|}~-]+";
const contentTypePattern = new RegExp(
  `^(?!multipart/)${token}/${token}(?: ?; ?${token}=(?:${token}|"[^"\\\\\\p{Cc}\\u0080-\\u{10ffff}]*"))*$`,
  'iu',
);
// RFC 2392: it goes between angle brackets into a header and into a cid: URL of the HTML.
const contentIdPattern = /^[\x21-\x3b\x3d\x3f-\x7e]{1,255}$/;

const attachment = z
  .strictObject({
    filename: z
      .string()
      .transform(filenameFrom)
      .meta({ examples: ['invoice.pdf'], description: 'At most 255 characters, without a path.' }),
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
      .optional()
      .meta({ description: 'By default from the file name.', examples: ['application/pdf'] }),
    content_id: z
      .string()
      .transform((text, context) =>
        contentIdPattern.test(text)
          ? text
          : refuse(context, text, 'invalid_content_id', 'A content id consists of up to 255 visible ASCII characters without < and >.'),
      )
      .optional()
      .meta({ description: 'For `cid:` links in the HTML.' }),
    disposition: z
      .enum(['attachment', 'inline'])
      .optional()
      .meta({ description: 'By default `inline` with a `content_id`, else `attachment`.' }),
  })
  .transform(
    (value): Attachment => ({
      filename: value.filename,
      content: value.content,
      contentType: value.content_type ?? '',
      contentId: value.content_id ?? '',
      inline: (value.disposition ?? (value.content_id === undefined ? 'attachment' : 'inline')) === 'inline',
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

// ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const subject = z
  .string()
  .max(maxSubjectChars)
  .transform((text, context) =>
    controls.test(text)
      ? refuse(context, text, 'control_character', 'Line breaks and other control characters are not allowed in a subject.')
      : text,
  );

// Mail has no NUL (RFC 5321 section 4.5.2), and half a surrogate pair has no UTF-8.
const body = z
  .string()
  .transform((text, context) =>
    text.includes('\0') ? refuse(context, '', 'control_character', 'The character NUL is not allowed.') : text.toWellFormed(),
  );

const tags = listOf(
  z
    .string()
    .transform((tag, context) =>
      tag === '' || tag.length > maxTagChars || controls.test(tag)
        ? refuse(context, tag, 'invalid_tag', `A tag has 1 to ${maxTagChars} characters and no control characters.`)
        : tag,
    ),
  0,
  maxTags,
);

const metadata = textsByName(maxMetadataBytes)
  .check(
    z.superRefine((record, context) => {
      let sizeBytes = 0;
      for (const [key, value] of textEntries(record)) {
        sizeBytes += Buffer.byteLength(key) + Buffer.byteLength(value);
        if (key === '' || controls.test(key) || /[[\]]/.test(key)) {
          refuse(context, record, 'invalid_metadata_key', 'A key is not empty and has neither control characters nor square brackets.', [
            key,
          ]);
        }
        if (value.includes('\0') || !value.isWellFormed())
          refuse(context, record, 'control_character', 'The character NUL and halves of surrogate pairs are not allowed.', [key]);
      }
      if (sizeBytes > maxMetadataBytes)
        refuse(context, record, 'too_large', `Metadata has at most ${maxMetadataBytes} bytes, keys and values together.`);
    }, besideOthers),
  )
  .meta({
    description: 'Up to 4 KB of your own, text to text; comes back with the message and filters lists.',
    examples: [{ order: '4711' }],
  });

const sendAt = z.iso
  .datetime({ offset: true })
  .transform((text, context) => {
    const date = new Date(text);
    if (date.getTime() > Date.now() + maxSendAtDays * dayMs)
      return refuse(context, text, 'too_far_ahead', `This is at most ${maxSendAtDays} days ahead.`);
    return date;
  })
  // A time that has passed means now: a retried request must not fail because its hour came in between.
  .meta({ description: 'Not before this time; at most 30 days ahead. A time in the past means now.', examples: ['2026-12-24T18:00:00Z'] });

const itemKey = z
  .string()
  .min(1)
  .max(maxKeyChars)
  .transform((text, context) =>
    /^[\x20-\x7e]+$/.test(text)
      ? text
      : refuse(context, text, 'invalid_idempotency_key', 'The key consists of printable ASCII characters.'),
  );

/** A message as the caller writes it; its output is ready for messaging but for the id. */
export const messageInput = z
  .strictObject({
    from: address.meta({ description: 'Its domain must be verified for you.' }),
    to: addresses.meta({
      description: 'One or many. All addresses of one message see each other in To and Cc; to write to many separately send a batch.',
    }),
    cc: addresses.optional().meta({ description: 'To, cc and bcc together: at most 1,000 recipients.' }),
    bcc: addresses.optional().meta({ description: 'Recipients that no header shows.' }),
    reply_to: addresses.optional().meta({ description: 'Where answers should go.' }),
    subject: subject.optional().meta({ description: 'In any script, without line breaks.' }),
    html: body.optional().meta({ description: 'The message as HTML.' }),
    text: body.optional().meta({ description: 'Made from `html` when absent. At least one of the two is needed.' }),
    headers: headers.optional(),
    attachments: listOf(attachment, 0, maxAttachments)
      .optional()
      .meta({ description: 'At most 100; the whole message has at most 40 MB when encoded.' }),
    tags: tags.optional().meta({ description: 'At most 10, of up to 256 characters each; they filter lists.' }),
    metadata: metadata.optional(),
    send_at: sendAt.optional(),
    idempotency_key: itemKey.optional().meta({ description: 'Like the header `Idempotency-Key`, for this message of a batch.' }),
  })
  .check(
    z.superRefine(
      (message, context) => {
        if (!message.html && !message.text) refuse(context, message, 'content_required', 'Give html or text, or both.', ['html']);
      },
      besideOthersThan('html', 'text'),
    ),
    z.superRefine(
      (message, context) => {
        const recipients = countOf(message.to) + countOf(message.cc) + countOf(message.bcc);
        if (recipients > maxRecipients)
          refuse(context, message, 'too_many', `A message has at most ${maxRecipients} recipients in to, cc and bcc together.`, ['to']);
      },
      besideOthersThan('to', 'cc', 'bcc'),
    ),
  )
  .meta({ id: 'MessageInput', description: 'A message to send.' });

function countOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}

type MessageOutput = z.output<typeof messageInput>;

/** What messaging takes. The id and the hash are the request's to add. */
export function outgoingMessage(id: string, message: MessageOutput, requestSha256: Buffer | undefined): OutgoingMessage {
  return {
    id,
    idempotencyKey: message.idempotency_key ?? '',
    requestSha256: requestSha256 ?? Buffer.alloc(0),
    from: message.from,
    to: message.to,
    cc: message.cc ?? [],
    bcc: message.bcc ?? [],
    replyTo: message.reply_to ?? [],
    subject: message.subject ?? '',
    html: message.html ?? '',
    text: message.text ?? '',
    headers: message.headers ?? [],
    attachments: message.attachments ?? [],
    tags: message.tags ?? [],
    metadata: message.metadata ?? {},
    sendAt: message.send_at,
  };
}

/** About as large as the message is on the wire: attachments in base64 with line breaks, bodies as they are. */
export function encodedBytes(message: MessageOutput): number {
  let sizeBytes = Buffer.byteLength(message.html ?? '') + Buffer.byteLength(message.text ?? '');
  for (const { content } of message.attachments ?? []) sizeBytes += Math.ceil(content.length / 57) * 78;
  return sizeBytes;
}
