// Freezes a message into the bytes that are signed and sent (RFC 5322, MIME), with nodemailer's composer. What stands here rather than in
// the composer: one Message-ID that is the message's id, a Date that is the acceptance, no Bcc, CRLF everywhere, and a worker thread for
// bodies that would hold up the event loop.
// Small messages are written out here (mime-writer.ts) rather than by the composer's streams: 0.08 ms of CPU instead of 0.27 for 2.7 KB.
// The plainest of them are composed here too (mime-plain.ts).
import { isAscii } from 'node:buffer';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { domainOfAddress } from '@maildoot/mail/address';
import { textFromHtml } from '@maildoot/mail/text-from-html';
import type { Address, Attachment, Header, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import MailComposer from 'nodemailer/lib/mail-composer';
import { detectMimeType, encodeWord } from 'nodemailer/lib/mime-funcs';
import { dispositionOf } from './attachment-name.ts';
import { plainMime } from './mime-plain.ts';
import { type MimeNode, writeMime } from './mime-writer.ts';
import { type Links, personalClicks, personalHtml, personalOf, personalOpens, unsubscribeHeaders } from './personal.ts';

/** Of the whole message, encoded. */
export const maxMimeBytes = 40 * 1024 * 1024;
/** From here on a message is composed in the worker. */
export const workerFromBytes = 1024 * 1024;
// From here on the composer's own streams write it: they give others a turn every 64 KB.
const streamFromBytes = 48 * 1024;

/** What the composer is given: a message without what is none of its business. */
export type MimeInput = Pick<
  OutgoingMessage,
  | 'id'
  | 'from'
  | 'to'
  | 'cc'
  | 'replyTo'
  | 'subject'
  | 'html'
  | 'text'
  | 'headers'
  | 'attachments'
  | 'trackOpens'
  | 'trackClicks'
  | 'unsubscribe'
>;

/** Composes messages, the big ones one after another in a worker thread that is started with the first. */
export interface MimeFreezer extends AsyncDisposable {
  freeze(message: OutgoingMessage, date: Date, links: Links | undefined): Promise<Buffer>;
}

/** Bytes of the parts before they are encoded. */
export function partsBytes(message: Pick<OutgoingMessage, 'html' | 'text' | 'attachments'>): number {
  return message.attachments.reduce((sum, attachment) => sum + attachment.content.length, message.html.length + message.text.length);
}

/** True when base64 alone takes the message over the limit, so that nobody composes 80 MB to throw them away. */
export function isSurelyTooLarge(message: Pick<OutgoingMessage, 'attachments'>): boolean {
  return message.attachments.reduce((sum, attachment) => sum + Math.ceil(attachment.content.length / 3) * 4, 0) > maxMimeBytes;
}

/** Composes one message on this thread. */
export async function composeMime(message: MimeInput, date: Date, links?: Links): Promise<Buffer> {
  const text = withCrlf(message.text === '' && message.html !== '' ? textFromHtml(message.html) : message.text);
  const html = withCrlf(personalHtml(message, links));
  const prepared = unsubscribeHeaders(message, links);
  const messageId = `<${message.id}@${domainOfAddress(message.from!.email)}>`;
  const isSmall = partsBytes(message) < streamFromBytes;
  if (isSmall && message.attachments.length + message.headers.length + prepared.length === 0) {
    const { id, to, cc, replyTo, subject } = message;
    const plain = plainMime({ id, messageId, from: message.from!, to, cc, replyTo, subject, text, html }, date);
    if (plain !== undefined) return plain;
  }
  const root = composed(message, { text, html, messageId, date, prepared }).compile();
  keepUtf8Addresses(root);
  nameAttachments(root);
  return isSmall ? writeMime(root) : await root.build();
}

/** What nodemailer makes of a message. */
export function composed(
  message: MimeInput,
  parts: { text: string; html: string; messageId: string; date: Date; prepared?: readonly Header[] },
): MailComposer {
  const { text, html, messageId, date, prepared = [] } = parts;
  return new MailComposer({
    from: mailbox(message.from!),
    ...toAndCc(message),
    ...(message.replyTo.length > 0 && { replyTo: message.replyTo.map(mailbox) }),
    subject: shownSubject(message.subject),
    messageId,
    date,
    ...((text !== '' || html === '') && { text }),
    ...(html !== '' && { html }),
    headers: [
      ...message.headers.map((header) => ({ key: header.name, value: header.value })),
      // As they are: a field that begins with a line break is read wrongly by some.
      ...prepared.map(({ name, value }) => ({ key: name, value: { prepared: true, value } })),
    ],
    attachments: message.attachments.map(attachmentPart),
    // Nobody who writes a body knows the id that it will get; and the same message is the same bytes.
    baseBoundary: message.id,
    // Marks have to be found again: quoted-printable leaves them as they are, base64 doesn't.
    ...((personalOf(message) & (personalOpens | personalClicks)) !== 0 && { textEncoding: 'quoted-printable' as const }),
    // Nothing in a message may name a file or an address for us to open.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

// What looks like an encoded word would be read as one (RFC 2047 section 7), with whatever is in it: it is encoded once more.
function shownSubject(subject: string): string {
  return subject.includes('=?') ? encodeWord(subject, 'B', 52) : subject;
}

// A message to Bcc alone still says that it has recipients: without To many filters score it as spam (RFC 5322 section 3.6.3).
function toAndCc(message: Pick<MimeInput, 'to' | 'cc'>) {
  if (message.to.length + message.cc.length === 0) return { to: 'undisclosed-recipients:;' };
  return { ...(message.to.length > 0 && { to: message.to.map(mailbox) }), ...(message.cc.length > 0 && { cc: message.cc.map(mailbox) }) };
}

function mailbox(address: Address) {
  return { name: address.name, address: address.email };
}

function attachmentPart(attachment: Attachment) {
  const declared = attachment.contentType || detectMimeType(attachment.filename);
  return {
    // Blanks alone are no name, and would be written as a parameter without a value.
    filename: attachment.filename.trim() === '' ? (false as const) : attachment.filename,
    content: Buffer.from(attachment.content.buffer, attachment.content.byteOffset, attachment.content.byteLength),
    // RFC 2046 section 5.2.1: a message/* part can't be encoded. One that isn't plain 7-bit lines would break the lines of the whole.
    contentType: /^message\//i.test(declared) && !isSevenBit(attachment.content) ? 'application/octet-stream' : declared,
    contentDisposition: attachment.inline ? 'inline' : 'attachment',
    ...(attachment.contentId !== '' && { cid: attachment.contentId }),
  };
}

// An address that was accepted is in its one form. The composer would write the domain in U-labels where the local part isn't ASCII: the
// envelope has A-labels, and so have those who compare a From with the domain of a signature (RFC 8616 section 4).
function keepUtf8Addresses(root: MimeNode): void {
  const inside = root as unknown as { _normalizeAddress(address: string): string };
  const normalise = inside._normalizeAddress.bind(root);
  inside._normalizeAddress = (address) => (isAscii(Buffer.from(address)) ? normalise(address) : address);
}

function nameAttachments(node: MimeNode): void {
  const type = node.getHeader('Content-Disposition');
  const value =
    node.filename === undefined || (type !== 'attachment' && type !== 'inline') ? undefined : dispositionOf(type, node.filename);
  if (value !== undefined) node.setHeader('Content-Disposition', { prepared: true, value });
  for (const child of node.childNodes) nameAttachments(child);
}

// RFC 5322 section 2.3: CR and LF occur together only. The composer passes 7-bit text on as it comes.
function withCrlf(text: string): string {
  return /(?<!\r)\n|\r(?!\n)/.test(text) ? text.replace(/\r\n|\r|\n/g, '\r\n') : text;
}

function isSevenBit(content: Uint8Array): boolean {
  let lineBytes = 0;
  for (let at = 0; at < content.length; at++) {
    const byte = content[at]!;
    if (byte === 0 || byte > 0x7f) return false;
    if (byte === 0x0d ? content[at + 1] !== 0x0a : byte === 0x0a && content[at - 1] !== 0x0d) return false;
    lineBytes = byte === 0x0a ? 0 : lineBytes + 1;
    // 998 and the CR.
    if (lineBytes > 999) return false;
  }
  return true;
}

/** What goes to the worker thread and comes back. */
export interface FreezeJob {
  message: MimeInput;
  date: Date;
  links: Links | undefined;
}
/** The worker's answer. */
export type FreezeResult = { mime: Uint8Array<ArrayBuffer> } | { failure: string };

export function createMimeFreezer(): MimeFreezer {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();

  async function freezeInWorker(message: OutgoingMessage, date: Date, links: Links | undefined): Promise<Buffer> {
    worker ??= new Worker(new URL('./mime-worker.ts', import.meta.url));
    const running = worker;
    const job: FreezeJob = { message: inputOf(message), date, links };
    const exited = new AbortController();
    const onExit = () => exited.abort(new Error('the MIME worker ended'));
    running.once('exit', onExit);
    try {
      running.postMessage(
        job,
        job.message.attachments.map((attachment) => attachment.content.buffer as ArrayBuffer),
      );
      const [result] = (await once(running, 'message', { signal: exited.signal })) as [FreezeResult];
      if ('failure' in result) throw new Error(result.failure);
      return Buffer.from(result.mime.buffer, result.mime.byteOffset, result.mime.byteLength);
    } catch (error) {
      // A worker that failed (out of memory, say) is replaced: its next answer could be this job's.
      worker = undefined;
      void running.terminate();
      throw error;
    } finally {
      running.removeListener('exit', onExit);
    }
  }

  return {
    async freeze(message, date, links) {
      if (partsBytes(message) < workerFromBytes) return await composeMime(message, date, links);
      // One at a time: each may hold 100 MB while it is composed.
      const turn = last.then(() => freezeInWorker(message, date, links));
      last = turn.catch(() => undefined);
      return await turn;
    },
    async [Symbol.asyncDispose]() {
      await last;
      await worker?.terminate();
    },
  };
}

// Copies the attachments into memory of their own, which can be moved to the worker: the bytes of a request share one block.
function inputOf(message: OutgoingMessage): MimeInput {
  const { id, from, to, cc, replyTo, subject, html, text, headers, trackOpens, trackClicks, unsubscribe } = message;
  const attachments = message.attachments.map((attachment) => ({
    ...attachment,
    content: Buffer.from(Uint8Array.from(attachment.content).buffer),
  }));
  return { id, from, to, cc, replyTo, subject, html, text, headers, attachments, trackOpens, trackClicks, unsubscribe };
}
