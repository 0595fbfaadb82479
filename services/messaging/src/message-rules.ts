// What a message must be before it is frozen. The gateway says the same earlier and more kindly; this is the wall behind it, for every
// door that comes later: nothing that passes here can put a line break into a header, replace a structural header or break a row.
import { type AddressResult, mailboxOf, normaliseEmail } from '@maildoot/mail/address';
import { refusedHeaders } from '@maildoot/mail/headers';
import type { Address, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import { idToUuid, uuidTime } from '@maildoot/runtime/ids';
import { isRaw, rawIssues } from './raw-mime.ts';
import { streamName } from './suppression.ts';

export const maxRecipients = 1000;
const maxTags = 10;
const maxTagChars = 256;
const maxMetadataBytes = 4096;
const maxSubjectBytes = 8192;
const maxFilenameChars = 255;
export const maxSendAtDays = 30;
const dayMs = 86_400_000;
// An id carries its time, which decides the partition of its rows; a gateway's clock may be off by this much.
const maxIdAgeMs = dayMs;
const maxIdAheadMs = dayMs / 24;

// Line breaks and other controls, the two Unicode line breaks, halves of surrogate pairs.
const controls = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
// RFC 2045 section 5.1; multipart is the composer's business.
const token = "[A-Za-z0-9!#$%&'*+.^_`{|}~-]+";
const contentType = new RegExp(
  `^(?!multipart/)${token}/${token}(?: ?; ?${token}=(?:${token}|"[^"\\\\\\p{Cc}\\u0080-\\u{10ffff}]*"))*$`,
  'iu',
);
// RFC 2392: goes between angle brackets in a header and into a cid: URL in the HTML.
const contentId = /^[\x21-\x3b\x3d\x3f-\x7e]{1,255}$/;

/** All that is wrong with a message; none = it can be frozen and stored. Paths are as in the API: `to[1].email`. */
export function messageIssues(message: OutgoingMessage, now: Date): Issue[] {
  const issues: Issue[] = [];
  const add = (path: string, code: string, text: string) => void issues.push({ path, code, message: text });

  checkId(message.id, now, add);
  if (message.from === undefined) add('from', 'required', 'Say whom the message is from.');
  else checkAddress('from', message.from, add);
  for (const [field, addresses] of [
    ['to', message.to],
    ['cc', message.cc],
    ['bcc', message.bcc],
    ['reply_to', message.replyTo],
  ] as const) {
    for (const [index, address] of addresses.entries()) checkAddress(`${field}[${index}]`, address, add);
  }
  const recipients = message.to.length + message.cc.length + message.bcc.length;
  if (recipients === 0) add('to', 'required', 'Give at least one recipient.');
  if (recipients > maxRecipients) add('to', 'too_many', `A message has at most ${maxRecipients} recipients in to, cc and bcc together.`);

  if (controls.test(message.subject))
    add('subject', 'control_character', 'Line breaks and other control characters are not allowed in a subject.');
  if (Buffer.byteLength(message.subject) > maxSubjectBytes) add('subject', 'too_long', `A subject has at most ${maxSubjectBytes} bytes.`);
  if (isRaw(message)) issues.push(...rawIssues(message));
  else if (message.templateId === '' && message.html === '' && message.text === '')
    add('', 'content_required', 'Give html or text, or both.');
  for (const refused of refusedHeaders(message.headers)) add(`headers[${refused.index}]`, headerCode[refused.problem], refused.message);
  checkAttachments(message, add);
  checkLabels(message, add);
  checkStream(message, add);
  checkUnsubscribe(message, add);
  if (message.pool !== '' && message.pool !== 'default') add('pool', 'unknown_pool', 'There is one egress pool, default.');
  if (message.sendAt !== undefined && message.sendAt.getTime() > now.getTime() + maxSendAtDays * dayMs) {
    add('send_at', 'too_far_ahead', `send_at is at most ${maxSendAtDays} days ahead.`);
  }
  return issues;
}

type Add = (path: string, code: string, text: string) => void;

const headerCode: Record<ReturnType<typeof refusedHeaders>[number]['problem'], string> = {
  name_syntax: 'invalid_header_name',
  name_too_long: 'too_long',
  reserved: 'forbidden_header',
  control_character: 'control_character',
  value_too_long: 'too_long',
  unbreakable: 'too_long',
  duplicate: 'duplicate_header',
};

function checkStream(message: OutgoingMessage, add: Add): void {
  for (const [path, name] of [
    ['stream', message.stream],
    ['unsubscribe.group', message.unsubscribe?.group ?? ''],
  ] as const) {
    if (name !== '' && !streamName.test(name))
      add(
        path,
        'invalid_name',
        'A name has up to 64 lower-case letters, digits, dots, hyphens and underscores, and begins with a letter or digit.',
      );
  }
}

// RFC 2369 section 2: between angle brackets, so no white space and no brackets; RFC 8058 section 3.1: the URL that is posted to is HTTPS.
const unsubscribeUrl = /^https:\/\/[!-;=?-~]+$/;

function checkUnsubscribe({ unsubscribe, headers }: OutgoingMessage, add: Add): void {
  if (unsubscribe === undefined) return;
  if (unsubscribe.url !== '' && (!unsubscribeUrl.test(unsubscribe.url) || unsubscribe.url.length > 900 || !URL.canParse(unsubscribe.url)))
    add('unsubscribe.url', 'invalid_url', 'This must be an https URL of at most 900 ASCII characters.');
  const { mailto } = unsubscribe;
  const [address = '', query] = mailto.split('?', 2);
  if (mailto !== '' && (normaliseEmail(address) !== address || (query !== undefined && !/^[!-;=?-~]{1,400}$/.test(query))))
    add('unsubscribe.mailto', 'invalid_email', 'This must be an address like leave@example.com, maybe with ?subject=….');
  for (const { name } of headers) {
    if (/^list-unsubscribe(?:-post)?$/i.test(name))
      add(`headers.${name}`, 'duplicate_header', 'The field unsubscribe makes this header; leave one of the two out.');
  }
}

function checkId(id: string, now: Date, add: Add): void {
  const uuid = idToUuid('msg', id);
  const age = uuid === undefined ? Number.NaN : now.getTime() - uuidTime(uuid).getTime();
  if (uuid === undefined) add('id', 'invalid_id', 'The id is not a message id.');
  if (age > maxIdAgeMs || age < -maxIdAheadMs) add('id', 'id_not_current', 'The id was not made just now; is a clock wrong?');
}

function checkAddress(path: string, address: Address, add: Add): void {
  const result: AddressResult = mailboxOf(address.email, address.name);
  if (!result.ok) add(path, result.problem === 'control_character' ? 'control_character' : 'invalid_email', result.message);
  // Stored and compared byte by byte, so there is one form only.
  else if (result.mailbox.address !== address.email) add(path, 'not_normalised', `The address is to be written ${result.mailbox.address}.`);
}

function checkAttachments(message: OutgoingMessage, add: Add): void {
  for (const [index, attachment] of message.attachments.entries()) {
    const path = `attachments[${index}]`;
    if (controls.test(attachment.filename))
      add(`${path}.filename`, 'control_character', 'Control characters are not allowed in a file name.');
    if (attachment.filename.length > maxFilenameChars)
      add(`${path}.filename`, 'too_long', `A file name has at most ${maxFilenameChars} characters.`);
    if (attachment.contentType !== '' && (attachment.contentType.length > 255 || !contentType.test(attachment.contentType))) {
      add(`${path}.content_type`, 'invalid_content_type', 'A content type is like image/png; multipart types are not possible.');
    }
    if (attachment.contentId !== '' && !contentId.test(attachment.contentId)) {
      add(`${path}.content_id`, 'invalid_content_id', 'A content id consists of up to 255 visible ASCII characters without < and >.');
    }
  }
}

function checkLabels(message: OutgoingMessage, add: Add): void {
  if (message.tags.length > maxTags) add('tags', 'too_many', `A message has at most ${maxTags} tags.`);
  for (const [index, tag] of message.tags.entries()) {
    if (tag === '' || tag.length > maxTagChars || controls.test(tag)) {
      add(`tags[${index}]`, 'invalid_tag', `A tag has 1 to ${maxTagChars} characters and no control characters.`);
    }
  }
  let bytes = 0;
  for (const [key, value] of Object.entries(message.metadata)) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
    // PostgreSQL's text has no NUL; everything else is the caller's own.
    if (key === '' || key.includes('\0') || value.includes('\0'))
      add(`metadata[${JSON.stringify(key)}]`, 'invalid_metadata', 'Metadata keys are not empty, and nothing in it is NUL.');
  }
  if (bytes > maxMetadataBytes) add('metadata', 'too_long', `Metadata has at most ${maxMetadataBytes} bytes, keys and values together.`);
}
