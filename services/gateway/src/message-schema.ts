// A message as the API takes it: one schema that validates, converts to what messaging wants and is printed in the OpenAPI document.
// messaging checks again behind it; here everything is found at once and said kindly.
import { normaliseEmail } from '@maildoot/mail/address';
import { type HeaderProblem, refusedHeaders } from '@maildoot/mail/headers';
import type { Header, OutgoingMessage, Unsubscribe } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { address, addresses, anyAddresses, maxRecipients } from './address-input.ts';
import { attachment } from './attachment-input.ts';
import { maxKeyChars } from './idempotency-key.ts';
import {
  besideOthers,
  besideOthersThan,
  type Context,
  controls,
  listOf,
  noControls,
  refuse,
  textEntries,
  textsByName,
} from './schema-parts.ts';
import { templateId, templateVersion, variables } from './template-fields.ts';

const maxTags = 10;
const maxTagChars = 256;
const maxMetadataBytes = 4096;
const maxSubjectChars = 998;
const maxAttachments = 100;
export const maxMessageBytes = 40 * 1024 * 1024;

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

// ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const subject = z
  .string()
  .max(maxSubjectChars)
  .transform((text, context) =>
    controls.test(text)
      ? refuse(context, text, 'control_character', 'Line breaks and other control characters are not allowed in a subject.')
      : text,
  )
  .meta({ pattern: noControls });

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
    )
    .meta({ minLength: 1, maxLength: maxTagChars, pattern: noControls }),
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

export const sendAt = z.iso
  .datetime({ offset: true })
  // A time that has passed means now: a retried request must not fail because its hour came in between. How far ahead it may be is said by
  // messaging alone, behind the look for an earlier answer: what is wrong at first and right a minute later must not be told apart here.
  .transform((text) => new Date(text))
  .meta({ description: 'Not before this time; at most 30 days ahead. A time in the past means now.', examples: ['2026-12-24T18:00:00Z'] });

// Names that messaging keeps and compares as they are.
const name = z
  .string()
  .transform((text, context) =>
    /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text)
      ? text
      : refuse(context, text, 'invalid_name', 'A name has up to 64 lower-case letters, digits, dots, hyphens and underscores.'),
  )
  .meta({ pattern: '^[a-z0-9][a-z0-9._-]{0,63}$' });

// Said rather than ignored: whoever names a pool counts on the addresses that it sends from.
const egressPool = z
  .string()
  .transform((text, context) =>
    text === 'default'
      ? text
      : refuse(context, text, 'unknown_pool', 'This installation has one egress pool, `default`. Leave the field out.'),
  )
  .meta({ enum: ['default'], description: 'The egress pool to send from. There is one, `default`; another name is refused.' });

const trackingInput = z
  .strictObject({
    opens: z.boolean().nullish().meta({ description: 'A picture of one dot in the HTML tells when somebody opens the message.' }),
    clicks: z
      .boolean()
      .nullish()
      .meta({ description: 'Links in the HTML lead through us. `data-track="false"` on a link keeps it as it is.' }),
  })
  .meta({ id: 'TrackingInput', description: 'Off by default. The text part is never changed.' });

const unsubscribeInput = z
  .strictObject({
    url: z
      .string()
      .max(900)
      .transform((text, context) =>
        /^https:\/\/[!-;=?-~]+$/.test(text) && URL.canParse(text)
          ? text
          : refuse(context, text, 'invalid_url', 'This must be an https URL of ASCII characters.'),
      )
      .meta({ pattern: '^https://[!-;=?-~]+$' })
      .nullish()
      .meta({
        description: 'A page of your own that takes the one-click POST of RFC 8058; by default ours.',
        examples: ['https://yourdomain.com/leave/42'],
      }),
    mailto: z
      .string()
      .max(600)
      .transform((text, context) => {
        const at = text.indexOf('?');
        const email = at === -1 ? text : text.slice(0, at);
        const query = at === -1 ? '' : text.slice(at);
        const address = text === '' ? '' : normaliseEmail(email);
        return address === undefined || !/^(\?[!-;=?-~]{1,400})?$/.test(query)
          ? refuse(context, text, 'invalid_email', 'This must be an address like leave@example.com, maybe with ?subject=….')
          : address + query;
      })
      .nullish()
      .meta({ description: 'An address that unsubscribes whoever writes to it.', examples: ['leave@yourdomain.com?subject=leave'] }),
    group: name.nullish().meta({ description: 'What is unsubscribed from; by default the message’s stream.', examples: ['newsletter'] }),
  })
  .meta({
    id: 'UnsubscribeInput',
    description: 'Adds `List-Unsubscribe` and `List-Unsubscribe-Post` (RFC 8058), signed. `{}`: one click on a page of ours.',
  });

const itemKey = z
  .string()
  .min(1)
  .max(maxKeyChars)
  .transform((text, context) =>
    /^[\x20-\x7e]+$/.test(text)
      ? text
      : refuse(context, text, 'invalid_idempotency_key', 'The key consists of printable ASCII characters.'),
  )
  .meta({ pattern: '^[ -~]+$' });

const messageFields = z.strictObject({
  from: address.meta({ description: 'Its domain must be verified for you.' }),
  to: addresses.meta({
    description: 'One or many. All addresses of one message see each other in To and Cc; to write to many separately send a batch.',
  }),
  cc: anyAddresses.nullish().meta({ description: 'To, cc and bcc together: at most 1,000 recipients.' }),
  bcc: anyAddresses.nullish().meta({ description: 'Recipients that no header shows.' }),
  reply_to: anyAddresses.nullish().meta({ description: 'Where answers should go.' }),
  subject: subject.nullish().meta({ description: 'In any script, without line breaks.' }),
  html: body.nullish().meta({ description: 'The message as HTML.' }),
  text: body.nullish().meta({ description: 'Made from `html` when absent. At least one of the two is needed.' }),
  headers: headers.nullish(),
  attachments: listOf(attachment, 0, maxAttachments)
    .nullish()
    .meta({ description: 'At most 100; the whole message has at most 40 MB when encoded.' }),
  tags: tags.nullish().meta({ description: 'At most 10, of up to 256 characters each; they filter lists.' }),
  metadata: metadata.nullish(),
  send_at: sendAt.nullish(),
  tracking: trackingInput.nullish(),
  unsubscribe: unsubscribeInput.nullish(),
  stream: name.nullish().meta({
    description: 'Which list of suppressions counts: `transactional` (by default), `broadcast`, or a name of your own.',
    examples: ['broadcast'],
  }),
  pool: egressPool.nullish(),
  dry_run: z
    .boolean()
    .nullish()
    .meta({ description: 'Checks everything and sends nothing: the answer says what would have been sent. One message at a time.' }),
  template_id: templateId.nullish(),
  template_version: templateVersion.nullish(),
  variables: variables.nullish(),
  idempotency_key: itemKey.nullish().meta({ description: 'Like the header `Idempotency-Key`, for this message of a batch.' }),
});

/** A message as the caller writes it; its output is ready for messaging but for the id. */
export const messageInput = messageFields
  .check(
    z.superRefine(
      (message, context) => {
        if (!message.template_id && !message.html && !message.text)
          refuse(context, message, 'content_required', 'Give html or text, or both, or a template_id.', ['html']);
      },
      besideOthersThan('html', 'text', 'template_id'),
    ),
    z.superRefine(templateAlone, besideOthersThan('template_id')),
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

/** Not both: what a template says and what the message says. */
function templateAlone(message: Record<string, unknown>, context: Context): void {
  const withTemplate = message.template_id !== undefined && message.template_id !== null;
  for (const field of withTemplate ? ['subject', 'html', 'text'] : ['template_version', 'variables']) {
    if (message[field] === undefined || message[field] === null) continue;
    if (withTemplate) refuse(context, message, 'not_with_template', 'The template says this. Leave one of the two out.', [field]);
    else refuse(context, message, 'only_with_template', 'This goes with template_id.', [field]);
  }
}

/** The same for a message whose template stands in the path. */
export const templateMessageInput = messageFields
  .omit({ subject: true, html: true, text: true, template_id: true, idempotency_key: true })
  .meta({ id: 'TemplateMessageInput', description: 'A message to send, made of a template.' });

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
    sendAt: message.send_at ?? undefined,
    templateId: message.template_id ?? '',
    templateVersion: message.template_version ?? 0,
    variablesJson: message.variables ?? noVariables,
    trackOpens: message.tracking?.opens ?? false,
    trackClicks: message.tracking?.clicks ?? false,
    unsubscribe: message.unsubscribe == null ? undefined : unsubscribeOf(message.unsubscribe),
    pool: message.pool ?? '',
    stream: message.stream ?? '',
    test: false,
    rawMime: Buffer.alloc(0),
    envelopeRecipients: [],
  };
}

function unsubscribeOf({ url, mailto, group }: NonNullable<MessageOutput['unsubscribe']>): Unsubscribe {
  return { url: url ?? '', mailto: mailto ?? '', group: group ?? '' };
}

const noVariables = Buffer.alloc(0);

/** About as large as the message is on the wire: attachments in base64 with line breaks, bodies as they are. */
export function encodedBytes(message: MessageOutput): number {
  let sizeBytes = Buffer.byteLength(message.html ?? '') + Buffer.byteLength(message.text ?? '');
  for (const { content } of message.attachments ?? []) sizeBytes += Math.ceil(content.length / 57) * 78;
  return sizeBytes;
}
