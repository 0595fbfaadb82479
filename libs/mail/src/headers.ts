// Header fields: which ones a caller may set and with what value, folding (RFC 5322 section 2.2.3), and reading a raw header block.
// Nothing here encodes words beyond ASCII (RFC 2047): the composer does.
// Header bytes are handled as latin1 strings, one character per byte, so that 8-bit headers survive. String.trim() and \s are not used:
// both count 0xA0 as white space, which is the last byte of `à` in UTF-8.

/** RFC 5322 section 2.1.1: a line has at most 998 characters without its CRLF. */
export const maxLineChars = 998;
/** Where lines are folded when they can be. */
const foldAtChars = 76;
/** Ours: nobody needs a longer one, and name and first word must fit on a line. */
const maxHeaderNameChars = 76;
/** Ours: of one value, in UTF-8. Receivers limit the whole header, often to 64 KB. */
const maxHeaderValueBytes = 8192;

/** Why a caller may not set a header. */
export type HeaderProblem =
  | 'name_syntax'
  | 'name_too_long'
  | 'reserved'
  | 'control_character'
  | 'value_too_long'
  | 'unbreakable'
  | 'duplicate';

/** A refused header. `index` is its place in the list given. The message repeats the name only when it is well formed. */
export interface RefusedHeader {
  index: number;
  problem: HeaderProblem;
  message: string;
}

// Each has a field of its own in the API, is made by us or by the hops after us, or would let a message speak for somebody else.
const reserved = new Set([
  ...['from', 'to', 'cc', 'bcc', 'reply-to', 'subject', 'sender', 'date', 'message-id', 'mime-version'],
  ...['return-path', 'received', 'delivered-to', 'x-original-to', 'envelope-to', 'dkim-signature', 'domainkey-signature'],
  ...['authentication-results', 'received-spf', 'apparently-to', 'errors-to', 'original-recipient'],
]);
const reservedPrefixes = ['content-', 'resent-', 'arc-', 'x-maildoot-'];

// RFC 5322 section 3.6, RFC 2369, RFC 2919, RFC 3834, RFC 8058: at most once. Others may be repeated.
const atMostOnce = new Set([
  ...['in-reply-to', 'references', 'list-id', 'list-help', 'list-subscribe', 'list-unsubscribe', 'list-unsubscribe-post', 'list-post'],
  ...['list-owner', 'list-archive', 'auto-submitted', 'precedence', 'importance', 'priority', 'x-priority', 'x-mailer', 'feedback-id'],
  ...['disposition-notification-to', 'organization', 'expires', 'sensitivity', 'x-auto-response-suppress'],
]);

const fieldName = /^[\x21-\x39\x3b-\x7e]+$/;
// TAB is white space in a header; all other controls, both Unicode line breaks and lone surrogates are refused.
const forbiddenInValue = /(?!\t)[\p{Cc}\p{Cs}\u2028\u2029]/u;

/** Checks headers that a caller wants to add; all problems, in order. */
export function refusedHeaders(headers: readonly { name: string; value: string }[]): RefusedHeader[] {
  const refused: RefusedHeader[] = [];
  const seen = new Set<string>();
  for (const [index, { name, value }] of headers.entries()) {
    const lower = name.toLowerCase();
    const found = headerProblem(name, value) ?? (seen.has(lower) && atMostOnce.has(lower) ? problem('duplicate', name) : undefined);
    seen.add(lower);
    if (found !== undefined) refused.push({ index, ...found });
  }
  return refused;
}

/** Checks one header that a caller wants to add. */
export function headerProblem(name: string, value: string): { problem: HeaderProblem; message: string } | undefined {
  if (!fieldName.test(name)) return problem('name_syntax', '');
  if (name.length > maxHeaderNameChars) return problem('name_too_long', '');
  const lower = name.toLowerCase();
  if (reserved.has(lower) || reservedPrefixes.some((prefix) => lower.startsWith(prefix))) return problem('reserved', name);
  if (forbiddenInValue.test(value)) return problem('control_character', name);
  if (Buffer.byteLength(value) > maxHeaderValueBytes) return problem('value_too_long', name);
  // Words beyond ASCII are encoded into short pieces; an ASCII word can be broken nowhere.
  if (longestWord(value) > maxLineChars - 1 || name.length + 2 + firstWordLength(value) > maxLineChars) return problem('unbreakable', name);
  return undefined;
}

function problem(kind: HeaderProblem, name: string): { problem: HeaderProblem; message: string } {
  const messages: Record<HeaderProblem, string> = {
    name_syntax: 'A header name consists of visible ASCII characters without a colon.',
    name_too_long: `A header name has at most ${maxHeaderNameChars} characters.`,
    reserved: `${name} can't be set as an extra header: it has a field of its own or is set on the way.`,
    control_character: `${name}: line breaks and other control characters are not allowed in a header.`,
    value_too_long: `${name}: a header value has at most ${maxHeaderValueBytes} bytes.`,
    unbreakable: `${name}: a word without a space has at most ${maxLineChars - 1} characters.`,
    duplicate: `${name} may be given only once.`,
  };
  return { problem: kind, message: messages[kind] };
}

function longestWord(value: string): number {
  let longest = 0;
  let current = 0;
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    current = code === 0x20 || code === 0x09 ? 0 : current + 1;
    if (current > longest) longest = current;
  }
  return longest;
}

function firstWordLength(value: string): number {
  const space = value.search(/[ \t]/);
  return space === -1 ? value.length : space;
}

/**
 * Folds a header at white space so that lines stay at 76 characters where they can. Takes and gives ASCII or latin1; the result has no
 * CRLF at its end. Every line break stands before white space of the value, so unfolding gives the same value back. White space at the
 * end of the value stays on the line before it: a line of white space only is obsolete syntax (RFC 5322 section 3.2.2).
 */
export function foldHeader(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  let used = false;
  // Each piece is white space and the word after it; the first has the space after the colon.
  for (const piece of ` ${value}`.match(/[ \t]+[^ \t]*/g) ?? []) {
    const hasWord = !/^[ \t]+$/.test(piece);
    if (used && hasWord && line.length + piece.length > foldAtChars) {
      lines.push(line);
      line = piece;
    } else line += piece;
    used ||= hasWord;
  }
  lines.push(line);
  return lines.join('\r\n');
}

/** Takes the line breaks of folding out; white space stays (RFC 5322 section 2.2.3). A bare LF counts as a line break. */
export function unfold(value: string): string {
  return value.replace(/\r?\n(?=[ \t])/g, '');
}

/** One field of a raw header block. */
export interface HeaderField {
  /** As written. */
  name: string;
  /** Unfolded, without white space around it; latin1 (one character per byte). */
  value: string;
  /** The whole field as it stands in the message, folded, without its last line break; latin1. */
  raw: string;
}

/** A header block that was read: its fields from top to bottom, and where the body starts. */
export interface HeaderBlock {
  fields: HeaderField[];
  /** Index of the first byte after the empty line; the length of the message when there is none. */
  bodyOffset: number;
  /** Lines that are no field and continue none (mbox `From ` lines, garbage). Left out of `fields`. */
  malformedLines: number;
}

const LF = 0x0a;
const CR = 0x0d;

/** Reads the header block at the start of a message. Lines end in CRLF; bare LFs are understood. */
export function parseHeaderBlock(message: Buffer): HeaderBlock {
  const fields: HeaderField[] = [];
  let malformedLines = 0;
  let lines: string[] = [];
  const finishField = () => {
    const raw = lines.join('\r\n');
    lines = [];
    if (raw === '') return;
    const colon = raw.indexOf(':');
    const name = colon === -1 ? '' : trimBlanks(raw.slice(0, colon));
    if (fieldName.test(name)) fields.push({ name, value: trimBlanks(unfold(raw.slice(colon + 1))), raw });
    else malformedLines++;
  };
  let from = 0;
  while (from < message.length) {
    const lineFeed = message.indexOf(LF, from);
    const next = lineFeed === -1 ? message.length : lineFeed + 1;
    let end = lineFeed === -1 ? message.length : lineFeed;
    if (lineFeed !== -1 && end > from && message[end - 1] === CR) end--;
    if (end === from) {
      finishField();
      return { fields, bodyOffset: next, malformedLines };
    }
    const line = message.toString('latin1', from, end);
    const continues = line.startsWith(' ') || line.startsWith('\t');
    if (!continues) finishField();
    if (continues && lines.length === 0) malformedLines++;
    else lines.push(line);
    from = next;
  }
  finishField();
  return { fields, bodyOffset: message.length, malformedLines };
}

/** Without spaces and tabs (nothing else) at both ends; linear. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
