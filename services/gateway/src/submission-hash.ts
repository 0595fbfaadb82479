// What of a message that came by SMTP is the same when a client sends it again: not its date, its id and its key, nor the boundaries that
// libraries make anew each time. A boundary is what the message's own Content-Type fields say, on the lines where it divides parts (RFC 2046
// section 5.1.1); the same characters anywhere else are text like any other.
import { createHash, type Hash } from 'node:crypto';
import type { HeaderBlock } from '@maildoot/mail/headers';

// Of a part's header; what is behind is hashed as it is.
const maxPartHeaderBytes = 64 * 1024;
// RFC 2046: a boundary has 70 characters. A line that is much longer is none.
const maxDelimiterBytes = 256;
const LF = 0x0a;
const CR = 0x0d;

/** @param recipients of the envelope */
export function submissionHash(raw: Buffer, { fields, bodyOffset }: HeaderBlock, recipients: readonly string[]): Buffer {
  const hash = createHash('sha256')
    .update([...recipients].sort().join('\n'))
    .update('\n\n');
  let outermost: string | undefined;
  for (const field of fields) {
    if (madeAnew.test(field.name)) continue;
    const { text, boundary } = withoutBoundary(`${field.raw}\r\n`);
    hash.update(text, 'latin1');
    outermost ??= boundary;
  }
  addBody(hash.update('\r\n'), raw.subarray(bodyOffset), outermost);
  return hash.digest();
}

const madeAnew = /^(?:date|message-id|x-idempotency-key)$/i;

/** Each byte is looked at once, however many parts there are and however deep they stand. */
function addBody(hash: Hash, body: Buffer, outermost: string | undefined): void {
  /** The multiparts that we are in, and at which depth each is. */
  const boundaries: string[] = [];
  const depths = new Map<string, number>();
  const enter = (boundary: string): void => void depths.set(boundary, boundaries.push(boundary) - 1);
  const leave = (depth: number): void => {
    for (const boundary of boundaries.splice(depth)) depths.delete(boundary);
  };
  if (outermost !== undefined) enter(outermost);
  let hashedTo = 0;
  let headerFrom: number | undefined;
  let at = 0;
  while (at < body.length && boundaries.length > 0) {
    const lineFeed = body.indexOf(LF, at);
    const end = lineFeed === -1 ? body.length : lineFeed + 1;
    const delimiter = delimiterOf(body, at, end, depths);
    const isEmpty = body[at] === CR || body[at] === LF;
    if (headerFrom !== undefined && (delimiter !== undefined || isEmpty)) {
      hashedTo = Math.min(at, headerFrom + maxPartHeaderBytes);
      const { text, boundary } = withoutBoundary(body.toString('latin1', headerFrom, hashedTo));
      hash.update(text, 'latin1');
      if (boundary !== undefined && isEmpty) enter(boundary);
      headerFrom = undefined;
    }
    if (delimiter !== undefined) {
      // A line feed alone is in no message that is taken, so that no text looks like this.
      hash.update(body.subarray(hashedTo, at)).update(`\n${delimiter.depth}${delimiter.closes ? '.' : ''}\n`);
      hashedTo = end;
      leave(delimiter.closes ? delimiter.depth : delimiter.depth + 1);
      headerFrom = delimiter.closes ? undefined : end;
    }
    at = headerFrom === undefined ? nextDash(body, end) : end;
  }
  hash.update(body.subarray(hashedTo));
}

/** The next line that begins like a delimiter. */
function nextDash(body: Buffer, lineStart: number): number {
  if (body[lineStart] === 0x2d && body[lineStart + 1] === 0x2d) return lineStart;
  const found = body.indexOf('\n--', lineStart);
  return found === -1 ? body.length : found + 1;
}

function delimiterOf(body: Buffer, at: number, end: number, depths: ReadonlyMap<string, number>) {
  if (body[at] !== 0x2d || body[at + 1] !== 0x2d || end - at > maxDelimiterBytes) return undefined;
  const name = body.toString('latin1', at + 2, end).replace(/[ \t\r\n]+$/, '');
  const opened = depths.get(name);
  if (opened !== undefined) return { depth: opened, closes: false };
  const closed = name.endsWith('--') ? depths.get(name.slice(0, -2)) : undefined;
  return closed === undefined ? undefined : { depth: closed, closes: true };
}

const contentTypeField = /^content-type[ \t]*:[ \t\r\n]*multipart\/[^\r\n]*(?:\r\n[ \t][^\r\n]*)*/im;
const parameter = /;[ \t\r\n]*([^ \t\r\n;="]+)[ \t\r\n]*=[ \t\r\n]*("(?:[^"\\]|\\.)*"|[^ \t\r\n;"]+)/gs;

/** Header fields as they are, but for the boundary of the first that is of a multipart. */
function withoutBoundary(header: string): { text: string; boundary: string | undefined } {
  const field = contentTypeField.exec(header);
  for (const found of field?.[0].matchAll(parameter) ?? []) {
    const [whole, name = '', value = ''] = found;
    if (name.toLowerCase() !== 'boundary') continue;
    const from = (field?.index ?? 0) + found.index + whole.length - value.length;
    const boundary = value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/gs, '$1') : value;
    // Neither empty nor with the blanks at its end that no line of a message keeps.
    if (!/[^ \t]$/.test(boundary)) break;
    return { text: `${header.slice(0, from)}\n${header.slice(from + value.length)}`, boundary };
  }
  return { text: header, boundary: undefined };
}
