// The MIME of messages that need little of MIME's art: text, HTML or both, headers in ASCII and short, no attachments. That is most
// transactional mail, and it costs 20 µs here against the composer's 70. What it makes is the composer's output byte for byte (a test
// compares them); whatever it isn't sure of is left to the composer.
import { encode as encodeQuotedPrintable, wrap as wrapQuotedPrintable } from 'nodemailer/lib/qp';

export interface PlainMessage {
  readonly id: string;
  readonly messageId: string;
  readonly from: PlainAddress;
  readonly to: readonly PlainAddress[];
  readonly cc: readonly PlainAddress[];
  readonly replyTo: readonly PlainAddress[];
  readonly subject: string;
  /** With line breaks as CRLF; empty = none. */
  readonly text: string;
  readonly html: string;
}

interface PlainAddress {
  readonly email: string;
  readonly name: string;
}

// From here on the composer folds a header.
const maxHeaderChars = 75;
const maxLineChars = 76;
const word = '[A-Za-z0-9_+-]+';
// An A-label is left out: the composer has an opinion on those.
const plainEmail = new RegExp(`^${word}(?:\\.${word})*@(?!.*xn--)[a-z0-9-]+(?:\\.[a-z0-9-]+)+$`);
const plainName = /^(?:[A-Za-z0-9_]+(?: [A-Za-z0-9_]+)*)?$/;
const plainSubject = /^[\x21\x23-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const ascii = /^[\t\r\n\x20-\x7e]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const controls = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;
// From the beginning of a line only: tried at every place, it would take time in proportion to the lines' length squared.
const longLine = new RegExp(`^.{${maxLineChars + 1}}`, 'm');
// What quoted-printable doesn't write as it is (RFC 2045 section 6.7). Runs, so that no character is cut in two.
const toBeEncoded = /[^\t\r\n\x20-\x3c\x3e-\x7e]+|[\t ](?=[\r\n]|$)/g;

/** The message, or undefined where it is not that plain. */
export function plainMime(message: PlainMessage, date: Date): Buffer | undefined {
  const { id, messageId, text, html } = message;
  const headers = headersOf(message, messageId, date);
  if (headers === undefined) return undefined;
  if (text === '' || html === '') {
    const body = partOf(text === '' ? html : text);
    if (body === undefined) return undefined;
    return bytesOf(
      `${headers}Content-Transfer-Encoding: ${body.encoding}\r\nMIME-Version: 1.0\r\nContent-Type: ${text === '' ? htmlType : textType}\r\n\r\n${body.content}`,
    );
  }
  const parts = [partOf(text), partOf(html)];
  if (parts[0] === undefined || parts[1] === undefined) return undefined;
  const boundary = `--_NmP-${id}-Part_1`;
  return bytesOf(
    `${headers}MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n\r\n` +
      `--${boundary}\r\nContent-Type: ${textType}\r\nContent-Transfer-Encoding: ${parts[0].encoding}\r\n\r\n${parts[0].content}\r\n` +
      `--${boundary}\r\nContent-Type: ${htmlType}\r\nContent-Transfer-Encoding: ${parts[1].encoding}\r\n\r\n${parts[1].content}\r\n` +
      `--${boundary}--\r\n`,
  );
}

const textType = 'text/plain; charset=utf-8';
const htmlType = 'text/html; charset=utf-8';

/** Up to and without those of the content; undefined where one of them needs encoding or folding. */
function headersOf({ from, to, cc, replyTo, subject }: PlainMessage, messageId: string, date: Date): string | undefined {
  if (to.length === 0 || !plainSubject.test(subject) || subject.includes('=?')) return undefined;
  const lines = [`From: ${addressList([from])}`, `To: ${addressList(to)}`];
  if (cc.length > 0) lines.push(`Cc: ${addressList(cc)}`);
  if (replyTo.length > 0) lines.push(`Reply-To: ${addressList(replyTo)}`);
  lines.push(`Subject: ${subject}`, `Message-ID: ${messageId}`);
  const everyAddress = [from, ...to, ...cc, ...replyTo];
  if (!everyAddress.every(({ email, name }) => plainEmail.test(email) && plainName.test(name))) return undefined;
  if (lines.some((line) => line.length > maxHeaderChars)) return undefined;
  return `${lines.join('\r\n')}\r\nDate: ${date.toUTCString().replace('GMT', '+0000')}\r\n`;
}

function addressList(addresses: readonly PlainAddress[]): string {
  return addresses.map(({ email, name }) => (name === '' ? email : `${name} <${email}>`)).join(', ');
}

function partOf(content: string): { encoding: string; content: string } | undefined {
  if (content === '' || controls.test(content)) return undefined;
  if (ascii.test(content) && !longLine.test(content)) return { encoding: '7bit', content };
  if (!isMostlyLatin(content)) return undefined;
  return { encoding: 'quoted-printable', content: wrapQuotedPrintable(content.replace(toBeEncoded, encodeQuotedPrintable)) };
}

/** More Latin letters than characters beyond ASCII; otherwise the composer prefers base64. */
function isMostlyLatin(content: string): boolean {
  // A character beyond ASCII has a second byte at least: no more of them than this.
  const othersAtMost = Buffer.byteLength(content) - content.length;
  let letters = 0;
  let others = 0;
  for (let at = 0; at < content.length; at++) {
    const code = content.charCodeAt(at);
    if (code >= 0x80) others++;
    // Upper case made lower.
    else if ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a && ++letters > othersAtMost) return true;
  }
  return others < letters;
}

function bytesOf(mime: string): Buffer {
  return Buffer.from(mime.endsWith('\n') ? mime : `${mime}\r\n`, 'latin1');
}
