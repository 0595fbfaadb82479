// DKIM signatures (RFC 6376; Ed25519: RFC 8463), relaxed/relaxed. Signing is on every message's way, so the body is never copied or made a
// string when it is canonical already (what composers produce), big bodies give the event loop its turns, and the key operation runs in the
// thread pool.
import { createHash, type KeyObject, sign } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { foldHeader, type HeaderField, parseHeaderBlock, trimBlanks, unfold } from './headers.ts';

export interface DkimKey {
  /** `d=`, lower-case A-labels. */
  domain: string;
  /** `s=`. */
  selector: string;
  /** Private: RSA of at least 1024 bits, or Ed25519. Parsed once by the caller; parsing a PEM costs as much as signing. */
  key: KeyObject;
  /** `t=`. Default now. */
  signTime?: Date;
}

/** Why a message can't be signed: it has no From, or the key is of a kind that DKIM doesn't know. */
export class DkimError extends Error {
  readonly code: 'NO_FROM' | 'KEY_TYPE';

  constructor(code: 'NO_FROM' | 'KEY_TYPE', message: string) {
    super(message);
    this.name = 'DkimError';
    this.code = code;
  }
}

// RFC 6376 section 5.4.1 and what receivers ask for since (RFC 8058: List-Unsubscribe-Post must be signed). Not what hops add or change.
const signedNames = [
  ...['from', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id', 'sender', 'in-reply-to', 'references'],
  ...['mime-version', 'content-type', 'content-transfer-encoding', 'auto-submitted', 'feedback-id'],
  ...['list-id', 'list-help', 'list-subscribe', 'list-unsubscribe', 'list-unsubscribe-post', 'list-post', 'list-owner', 'list-archive'],
];
// Named once more than they occur, so that adding another one breaks the signature (section 8.15): a second From, Subject or Content-Type
// would be what the reader sees.
const oversignedNames = new Set([
  ...['from', 'reply-to', 'to', 'cc', 'subject', 'date', 'message-id'],
  ...['mime-version', 'content-type', 'content-transfer-encoding'],
]);

const SP = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;
const crlf = Buffer.from('\r\n');
// One turn of the event loop: about a millisecond of work.
const windowBytes = 512 * 1024;

/**
 * Makes the signature of a message and gives the `DKIM-Signature` header to put before it, with its CRLF. The message is whole and has
 * CRLF line ends; a bare LF is signed as the CRLF that it becomes on the wire.
 * @throws DkimError
 */
export async function signDkim(mime: Buffer, dkim: DkimKey): Promise<Buffer> {
  const algorithm = algorithmOf(dkim.key);
  const { fields, bodyOffset } = parseHeaderBlock(mime);
  const signed = selectFields(fields);
  const hash = await bodyHash(mime, bodyOffset);
  const value = signatureValue(dkim, algorithm.name, hash, signed.names);
  const unsigned = `${foldHeader('DKIM-Signature', value)}\r\n b=`;
  const input = signatureInput(signed.fields, unsigned);
  const signature = await signInThreadPool(algorithm, Buffer.from(input, 'latin1'), dkim.key);
  return Buffer.from(`${unsigned}${foldBase64(signature.toString('base64'))}\r\n`, 'latin1');
}

/**
 * What is signed: the canonical header fields, and last the signature's own field with an empty `b=`, without a line end at the end
 * (section 3.7). Latin1, one character per byte.
 */
function signatureInput(fields: readonly Pick<HeaderField, 'raw'>[], signatureField: string): string {
  return `${fields.map((field) => `${relaxedField(field.raw)}\r\n`).join('')}${relaxedField(signatureField)}`;
}

/** One field in relaxed form (section 3.4.2): name in lower case, unfolded, white space single and none at the ends. No line end. */
export function relaxedField(raw: string): string {
  const colon = raw.indexOf(':');
  const name = trimBlanks(raw.slice(0, colon)).toLowerCase();
  return `${name}:${trimBlanks(unfold(raw.slice(colon + 1)).replace(/[ \t]+/g, ' '))}`;
}

/** SHA-256 of the body in relaxed form, base64. Bodies over half a megabyte are hashed in pieces, other work goes on in between. */
export async function bodyHash(message: Buffer, bodyOffset = 0): Promise<string> {
  const hash = createHash('sha256');
  const end = contentEnd(message, bodyOffset);
  for (let from = bodyOffset; from < end; ) {
    from = hashWindow(hash, message, from, end);
    if (from < end) await nextTurn();
  }
  // Section 3.4.4: a body that isn't empty ends in one CRLF; an empty one stays empty.
  if (end > bodyOffset) hash.update(crlf);
  return hash.digest('base64');
}

/** The relaxed form itself (section 3.4.4), for tests and for explaining. */
export function relaxedBody(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  const end = contentEnd(body, 0);
  // The parts may lie in a buffer that the next window uses again.
  const collect = { update: (part: Buffer) => parts.push(Buffer.from(part)) };
  for (let from = 0; from < end; ) from = hashWindow(collect, body, from, end);
  if (end > 0) parts.push(crlf);
  return Buffer.concat(parts);
}

interface Algorithm {
  name: 'rsa-sha256' | 'ed25519-sha256';
  /** What node:crypto is told. Ed25519 signs the SHA-256 of the input (RFC 8463 section 3) and hashes by itself what it signs. */
  digest: 'sha256' | null;
}

function algorithmOf(key: KeyObject): Algorithm {
  if (key.type === 'private' && key.asymmetricKeyType === 'rsa') return { name: 'rsa-sha256', digest: 'sha256' };
  if (key.type === 'private' && key.asymmetricKeyType === 'ed25519') return { name: 'ed25519-sha256', digest: null };
  throw new DkimError('KEY_TYPE', 'DKIM signs with private RSA or Ed25519 keys');
}

// With a callback, crypto.sign works in the thread pool; without, on the event loop.
function signInThreadPool(algorithm: Algorithm, input: Buffer, key: KeyObject): Promise<Buffer> {
  const data = algorithm.digest === null ? createHash('sha256').update(input).digest() : input;
  return new Promise((resolve, reject) => {
    sign(algorithm.digest, data, key, (error, signature) => (error === null ? resolve(signature) : reject(error)));
  });
}

// A name stands in h= as often as it occurs, and its fields are taken from the bottom up (section 5.4.2).
function selectFields(fields: readonly HeaderField[]): { names: string[]; fields: HeaderField[] } {
  const byName = Map.groupBy(fields, (field) => field.name.toLowerCase());
  if (!byName.has('from')) throw new DkimError('NO_FROM', 'a message without From can not be signed');
  const names: string[] = [];
  const selected: HeaderField[] = [];
  for (const name of signedNames) {
    for (const field of (byName.get(name) ?? []).toReversed()) {
      names.push(name);
      selected.push(field);
    }
    if (oversignedNames.has(name)) names.push(name);
  }
  return { names, fields: selected };
}

function signatureValue(dkim: DkimKey, algorithm: string, hash: string, names: readonly string[]): string {
  const seconds = Math.floor((dkim.signTime ?? new Date()).getTime() / 1000);
  return `v=1; a=${algorithm}; c=relaxed/relaxed; d=${dkim.domain}; s=${dkim.selector}; t=${seconds}; h=${names.join(': ')}; bh=${hash};`;
}

// In b= white space means nothing (section 3.5), so the signature is cut to short lines.
function foldBase64(text: string): string {
  return (text.match(/.{1,72}/g) ?? []).join('\r\n ');
}

// Where the body's last line with content ends, without its white space: empty lines at the end don't count, and neither do lines of white
// space, which relaxed makes empty.
function contentEnd(message: Buffer, start: number): number {
  let end = message.length;
  for (;;) {
    let at = end;
    while (at > start && (message[at - 1] === SP || message[at - 1] === TAB)) at--;
    if (at === start || message[at - 1] !== LF) return at;
    end = at - 1;
    if (end > start && message[end - 1] === CR) end--;
  }
}

// Hands one window of the body on, as it is when it is canonical, else as a canonical copy. Gives where the next one starts.
function hashWindow(sink: { update(part: Buffer): unknown }, message: Buffer, from: number, end: number): number {
  const limit = Math.min(from + windowBytes, end);
  const canonicalTo = canonicalPrefix(message, from, limit, end);
  if (canonicalTo > from) sink.update(message.subarray(from, canonicalTo));
  if (canonicalTo === limit) return limit;
  const copy = Buffer.allocUnsafe(2 * (limit - canonicalTo));
  let length = 0;
  let at = canonicalTo;
  while (at < limit) {
    const byte = message[at] ?? 0;
    if (byte === SP || byte === TAB) {
      // The whole run, also past the limit: where it ends decides whether it is a space or nothing.
      do at++;
      while (at < end && (message[at] === SP || message[at] === TAB));
      if (!endsLine(message, at, end)) copy[length++] = SP;
    } else {
      if (byte === LF && (at === 0 || message[at - 1] !== CR)) copy[length++] = CR;
      copy[length++] = byte;
      at++;
    }
  }
  sink.update(copy.subarray(0, length));
  return at;
}

// How far the bytes are canonical as they stand: no TAB, no two blanks together, none before a line end, no LF alone. This loop sees each
// byte of each message.
function canonicalPrefix(message: Buffer, from: number, limit: number, end: number): number {
  for (let at = from; at < limit; at++) {
    const byte = message[at] as number;
    if (byte > SP) continue;
    if (byte === TAB) return at;
    if (byte === SP) {
      const next = at + 1 < end ? message[at + 1] : LF;
      if (next === SP || next === TAB || endsLine(message, at + 1, end)) return at;
    } else if (byte === LF && (at === 0 || message[at - 1] !== CR)) return at;
  }
  return limit;
}

function endsLine(message: Buffer, at: number, end: number): boolean {
  return at >= end || message[at] === LF || (message[at] === CR && at + 1 < end && message[at + 1] === LF);
}
