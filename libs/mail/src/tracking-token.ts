// The links of a message that are each recipient's own: the picture that tells of an opening, rewritten links, the unsubscribe link
// (RFC 8058 section 3.1 wants it opaque and hard to guess). A token says which recipient of which message, and is signed; a click carries
// its target, signed as well, so that nobody can make our host redirect to a place that no sender has written.
//
// A message is frozen once and sent to many, so the frozen bytes have marks where tokens go. Mark and token have the same length and only
// characters that every encoding leaves as they are; delivery puts the token in the mark's place before it signs.
//
//   token   base64url(message 16 bytes · recipient number 2 · HMAC 10)      38 characters
//   target  base64url(HMAC 10 bytes) · base64url(URL)                       14 characters and more
import { createHash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { linkMac } from './link-mac.ts';

/** A key that signs links: 32 bytes. */
export interface LinkKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** What a token is for; one for one thing is no token for another. */
export type LinkPurpose = 'open' | 'click' | 'unsubscribe';

/** Whose link it is. `messageId` is the database's form. */
export interface LinkHolder {
  messageId: string;
  recipientNumber: number;
}

/** Of tokens and of marks. */
export const tokenChars = 38;
const macBytes = 10;
const targetMacChars = 14;
/** Links longer than this are left as they are: with the token around them some clients would cut them. */
export const maxTargetChars = 1500;

/** The keys that were configured; without any, one that all services make of the secret they share. The first signs, all verify. */
export function linkKeys(configured: readonly LinkKey[] | undefined, sharedSecret: string): readonly [LinkKey, ...LinkKey[]] {
  const [first, ...more] = configured ?? [];
  if (first !== undefined) return [first, ...more];
  return [{ id: 'shared', key: new Uint8Array(hkdfSync('sha256', sharedSecret, '', 'maildoot links', 32)) }];
}

/** What stands in the frozen bytes. It can't be guessed by who writes a message, whose id is made later. */
export function linkMark(purpose: LinkPurpose, messageId: string): string {
  return createHash('sha256').update(`mark ${purpose} ${messageId}`).digest().subarray(0, 28).toString('base64url');
}

export function linkToken({ key }: LinkKey, purpose: LinkPurpose, { messageId, recipientNumber }: LinkHolder): string {
  const subject = Buffer.alloc(18);
  subject.write(messageId.replaceAll('-', ''), 'hex');
  subject.writeUInt16BE(recipientNumber, 16);
  return Buffer.concat([subject, mac(key, purpose, subject)]).toString('base64url');
}

/** Undefined for what is no token of this purpose, or was changed. */
export function readLinkToken(keys: readonly LinkKey[], purpose: LinkPurpose, token: string): LinkHolder | undefined {
  if (token.length !== tokenChars || !/^[\w-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, 'base64url');
  const subject = bytes.subarray(0, 18);
  const signed = bytes.subarray(18);
  // Another text for the same bytes would be another token for the same link.
  if (bytes.toString('base64url') !== token || !keys.some(({ key }) => equal(mac(key, purpose, subject), signed))) return undefined;
  const hex = subject.toString('hex', 0, 16);
  const messageId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return { messageId, recipientNumber: subject.readUInt16BE(16) };
}

/** A link's target, behind the recipient's part. */
export function signTarget({ key }: LinkKey, url: string): string {
  const target = Buffer.from(url);
  return mac(key, 'target', target).toString('base64url') + target.toString('base64url');
}

/** The recipient and the target of a click; undefined for what we have not written. */
export function readClickToken(keys: readonly LinkKey[], token: string): { holder: LinkHolder; url: string } | undefined {
  const holder = readLinkToken(keys, 'click', token.slice(0, tokenChars));
  const signed = token.slice(tokenChars, tokenChars + targetMacChars);
  const text = token.slice(tokenChars + targetMacChars);
  if (holder === undefined || !/^[\w-]+$/.test(text) || !/^[\w-]+$/.test(signed)) return undefined;
  const target = Buffer.from(text, 'base64url');
  if (target.toString('base64url') !== text) return undefined;
  if (!keys.some(({ key }) => equal(mac(key, 'target', target), Buffer.from(signed, 'base64url')))) return undefined;
  return { holder, url: target.toString() };
}

/** The bytes with other texts of the same length in the marks' places. Encoders may have broken a mark: `=` and a line end (RFC 2045 section 6.7). */
export function fillMarks(mime: Buffer, values: ReadonlyMap<string, string>): Buffer {
  const filled = Buffer.from(mime);
  const text = mime.toString('latin1');
  for (const [mark, value] of values) {
    if (mark.length !== value.length) throw new RangeError('a mark and what comes in its place have the same length');
    const pattern = new RegExp(Array.from(mark).join('(?:=\\r\\n)?'), 'g');
    for (const { index, 0: found } of text.matchAll(pattern)) {
      let next = 0;
      for (let at = 0; at < found.length; at++) {
        if (found[at] === '=') at += 2;
        else filled[index + at] = value.charCodeAt(next++);
      }
    }
  }
  return filled;
}

/** What delivery puts into the bytes of one recipient. */
export function tokensFor(key: LinkKey, holder: LinkHolder): Map<string, string> {
  const purposes: LinkPurpose[] = ['open', 'click', 'unsubscribe'];
  return new Map(purposes.map((purpose) => [linkMark(purpose, holder.messageId), linkToken(key, purpose, holder)]));
}

function mac(key: Uint8Array, purpose: string, subject: Uint8Array): Buffer {
  return linkMac(key, purpose, subject, macBytes);
}

function equal(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
