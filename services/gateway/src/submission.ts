// A message as it came by SMTP → what messaging is asked. The envelope says who gets it; the header says who it is from and what is shown of
// it, and has our own fields: X-Idempotency-Key, X-Tags, X-Metadata-*, X-Template and X-Variables, which mean what they mean in REST.
import { type Mailbox, mailboxOf } from '@maildoot/mail/address';
import { headerProblem, parseHeaderBlock } from '@maildoot/mail/headers';
import { type AcceptMessagesRequest, type Address, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import addressParser from 'nodemailer/lib/addressparser';
import type { Principal } from './authentication.ts';
import { decodedText, decodedWords, utf8Text } from './encoded-words.ts';
import { ApiError } from './errors.ts';
import { readFrom } from './from-field.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import type { Issue } from './issues.ts';
import { submissionHash } from './submission-hash.ts';
import { isTemplateName } from './template-fields.ts';

const maxHeaderBytes = 512 * 1024;
const maxSubjectChars = 2000;

export interface Submitted {
  readonly raw: Buffer;
  /** Normalised, each once. */
  readonly recipients: readonly string[];
  readonly principal: Principal;
  readonly linkUrl: string;
}

/** @throws ApiError VALIDATION_ERROR */
export function readSubmission({ raw, recipients, principal, linkUrl }: Submitted): AcceptMessagesRequest {
  const issues: Issue[] = [];
  const add = (path: string, code: string, message: string): void => void issues.push({ path, code, message });
  const header = parseHeaderBlock(raw.subarray(0, maxHeaderBytes));
  const { fields, bodyOffset, malformedLines } = header;
  if (bodyOffset >= maxHeaderBytes) add('', 'header_too_long', `The header has over ${maxHeaderBytes / 1024} KB.`);
  if (malformedLines > 0) add('', 'malformed_header', 'The header has lines that are no header fields.');
  const valuesOf = (name: string): string[] => fields.filter((field) => field.name.toLowerCase() === name).map(({ value }) => value);
  const textOf = (name: string): string => decodedText(valuesOf(name)[0] ?? '');
  for (const name of ['from', 'to', 'cc', 'subject', 'date', 'message-id', 'reply-to', 'sender'])
    if (valuesOf(name).length > 1) add(name, 'duplicate_header', `The header has more than one field ${name} (RFC 5322 section 3.6).`);
  for (const name of ['x-idempotency-key', 'x-template', 'x-variables'])
    if (valuesOf(name).length > 1) add(name, 'duplicate_header', `The header has more than one field ${name}.`);

  const from = senderOf(valuesOf('from'), add);
  const kept: Omit<Parts, 'templateId'> = {
    from,
    ...addressed(recipients, mailboxesOf(valuesOf('to')), mailboxesOf(valuesOf('cc'))),
    replyTo: mailboxesOf(valuesOf('reply-to')),
    tags: valuesOf('x-tags')
      .flatMap((value) => decodedText(value).split(','))
      .map((tag) => tag.trim())
      .filter((tag) => tag !== ''),
    metadata: Object.fromEntries(
      fields
        .filter(({ name }) => /^x-metadata-./i.test(name))
        .map(({ name, value }) => [name.slice('x-metadata-'.length).toLowerCase(), decodedText(value)]),
    ),
  };
  const idempotencyKey = idempotencyKeyOf(valuesOf('x-idempotency-key')[0], issues);
  const templateId = textOf('x-template');
  const id = newId('msg');
  const base = { ...kept, id, test: principal.test };
  let outgoing: OutgoingMessage;
  if (valuesOf('x-template').length > 0) {
    if (!isTemplateName(templateId)) add('X-Template', 'invalid_template', 'Give the id or the alias of a template.');
    if (/^multipart\/mixed/i.test(valuesOf('content-type')[0] ?? ''))
      add(
        'X-Template',
        'attachments_unsupported',
        'With a template a message that comes by SMTP can’t have attachments; use POST /v1/messages.',
      );
    const headers = fields
      .filter(({ name }) => !ours.test(name) && !leftOut.test(name))
      .map(({ name, value }) => ({ name, value: decodedText(value) }))
      .filter(({ name, value }) => headerProblem(name, value) === undefined);
    outgoing = OutgoingMessage.fromPartial({ ...base, templateId, variablesJson: variablesOf(textOf('x-variables'), add), headers });
  } else {
    const subject = [...textOf('subject').replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, ' ')].slice(0, maxSubjectChars).join('');
    outgoing = OutgoingMessage.fromPartial({ ...base, subject, rawMime: raw, envelopeRecipients: [...recipients] });
  }
  if (issues.length > 0) throw new ApiError('VALIDATION_ERROR', 'The message is not valid.', { issues });
  return {
    messages: [outgoing],
    atomic: false,
    idempotencyKey: idempotencyKey ?? '',
    requestSha256: idempotencyKey === undefined ? Buffer.alloc(0) : submissionHash(raw, header, recipients),
    allowedDomains: [...principal.allowedDomains],
    batchId: '',
    credentialId: principal.credentialId,
    linkUrl,
  };
}

const ours = /^x-(?:idempotency-key|tags|metadata-.*|template|variables)$/i;
const leftOut = /^x-mailer$/i;

type Add = (path: string, code: string, message: string) => void;
type Parts = Pick<OutgoingMessage, 'from' | 'to' | 'cc' | 'bcc' | 'replyTo' | 'tags' | 'metadata' | 'templateId'>;

function senderOf(values: readonly string[], add: Add): Address | undefined {
  if (values.length === 0) {
    add('from', 'required', 'The header has no From field.');
    return undefined;
  }
  const read = readFrom(utf8Text(values[0] ?? ''), cleanName);
  if ('mailbox' in read) return addressOf(read.mailbox);
  add('from', 'invalid_email', read.problem);
  return undefined;
}

/** Those that can be read: what else stands there is shown to recipients as it is, and decides nothing. */
function mailboxesOf(values: readonly string[]): Address[] {
  const found: Address[] = [];
  for (const { address, name } of values.flatMap((value) => addressParser(utf8Text(value), { flatten: true }))) {
    const read = mailboxOf(address, cleanName(name));
    if (read.ok) found.push(addressOf(read.mailbox));
  }
  return found;
}

function addressOf({ address, name }: Mailbox): Address {
  return { email: address, name };
}

function cleanName(name: string): string {
  return [...decodedWords(name).replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, ' ')].slice(0, 256).join('');
}

/** The envelope's recipients, where the header has them: who stands in neither field gets a blind copy. */
function addressed(recipients: readonly string[], to: readonly Address[], cc: readonly Address[]): Pick<Parts, 'to' | 'cc' | 'bcc'> {
  const [namesInTo, namesInCc] = [to, cc].map((list) => new Map(list.map(({ email, name }) => [email.toLowerCase(), name]))) as [
    Map<string, string>,
    Map<string, string>,
  ];
  const kinds: Pick<Parts, 'to' | 'cc' | 'bcc'> = { to: [], cc: [], bcc: [] };
  for (const email of recipients) {
    // Clients write the envelope in lower case, and whoever reads To takes both for one person.
    const [inTo, inCc] = [namesInTo.get(email.toLowerCase()), namesInCc.get(email.toLowerCase())];
    if (inTo !== undefined) kinds.to.push({ email, name: inTo });
    else if (inCc !== undefined) kinds.cc.push({ email, name: inCc });
    else kinds.bcc.push({ email, name: '' });
  }
  return kinds;
}

function variablesOf(text: string, add: Add): Buffer {
  if (text === '') return Buffer.alloc(0);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Buffer.from(JSON.stringify(value));
  } catch {
    // Told below.
  }
  add('X-Variables', 'invalid_json', 'X-Variables must be a JSON object.');
  return Buffer.alloc(0);
}
