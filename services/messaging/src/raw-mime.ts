// A message that was submitted as MIME: its bytes are the sender's own, signed and completed and nothing else. Message-ID and Date are put in
// front where they are missing (RFC 6409 section 8.3, 8.4), and header fields that are for us or for nobody's eyes are taken out; every
// other byte stays where and what it is.
import { domainOfAddress } from '@maildoot/mail/address';
import type { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';

const LF = 0x0a;
const CR = 0x0d;
const space = 0x20;
const tab = 0x09;

/** Who gets a blind copy is for nobody to see; the rest is said to us and kept with the message. */
const takenOut = /^(?:bcc|resent-bcc|return-path|x-idempotency-key|x-tags|x-metadata-[^:]*|x-template|x-variables)$/;

const completed = /^(?:message-id|date)$/;

/** True for a message that came as MIME. */
export function isRaw({ rawMime }: Pick<OutgoingMessage, 'rawMime'>): boolean {
  return rawMime.length > 0;
}

/** What speaks against a message that came as MIME: it has either form, and the envelope alone says who gets it. */
export function rawIssues(message: OutgoingMessage): Issue[] {
  const issues: Issue[] = [];
  const { html, text, templateId, attachments, headers, trackOpens, trackClicks, unsubscribe } = message;
  const isComposed = html !== '' || text !== '' || templateId !== '' || attachments.length + headers.length > 0;
  if (isComposed || trackOpens || trackClicks || unsubscribe !== undefined)
    issues.push({ path: '', code: 'two_forms', message: 'A message that comes as MIME has no body, headers or links of another form.' });
  const addressed = new Set([...message.to, ...message.cc, ...message.bcc].map(({ email }) => email));
  const envelope = new Set(message.envelopeRecipients);
  if (envelope.size !== addressed.size || [...envelope].some((email) => !addressed.has(email)))
    issues.push({ path: 'to', code: 'envelope_mismatch', message: 'The recipients are not those of the envelope.' });
  return issues;
}

/** The bytes that are kept, signed and sent. */
export function completeRawMime({ id, from, rawMime }: Pick<OutgoingMessage, 'id' | 'from' | 'rawMime'>, date: Date): Buffer {
  const raw = Buffer.from(rawMime.buffer, rawMime.byteOffset, rawMime.byteLength);
  const kept: Buffer[] = [];
  const names = new Set<string>();
  let keptFrom = 0;
  let at = 0;
  while (at < raw.length && !isEmptyLine(raw, at)) {
    const end = endOfField(raw, at);
    const name = nameOfField(raw, at, end);
    // Without a value it says nothing, and some receivers refuse the message for it.
    const isEmpty = completed.test(name) && /^[^:]*:[ \t\r\n]*$/.test(raw.toString('latin1', at, end));
    if (!isEmpty) names.add(name);
    if (isEmpty || takenOut.test(name)) {
      kept.push(raw.subarray(keptFrom, at));
      keptFrom = end;
    }
    at = end;
  }
  const added =
    (names.has('message-id') ? '' : `Message-ID: <${id}@${domainOfAddress(from!.email)}>\r\n`) +
    (names.has('date') ? '' : `Date: ${date.toUTCString().replace('GMT', '+0000')}\r\n`);
  return Buffer.concat([Buffer.from(added), ...kept, raw.subarray(keptFrom)]);
}

function isEmptyLine(raw: Buffer, at: number): boolean {
  return raw[at] === LF || (raw[at] === CR && raw[at + 1] === LF);
}

/** Behind the field's last line: those that begin with white space belong to it (RFC 5322 section 2.2.3). */
function endOfField(raw: Buffer, at: number): number {
  let end = at;
  do {
    const lineFeed = raw.indexOf(LF, end);
    if (lineFeed === -1) return raw.length;
    end = lineFeed + 1;
  } while (raw[end] === space || raw[end] === tab);
  return end;
}

/** In lower case. White space before the colon is obsolete syntax, and read by some (RFC 5322 section 4.5). */
function nameOfField(raw: Buffer, at: number, end: number): string {
  const colon = raw.indexOf(0x3a, at);
  return colon === -1 || colon >= end
    ? ''
    : raw
        .toString('latin1', at, colon)
        .replace(/[ \t]+$/, '')
        .toLowerCase();
}
