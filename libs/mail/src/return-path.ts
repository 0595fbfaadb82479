// The address that a message's MAIL FROM names, one for each recipient, so that what comes back says by itself what it is about (VERP):
// b+<token>@<return-path host>. Servers on the way may change the case of a local part, so the token is base32 and read in any.
//
//   token   base32(message 16 bytes · recipient number 2 · HMAC 5)      37 characters
//
// 40 bits of HMAC: whoever guesses has one chance in 10^12 per message to a host that counts, and would win a wrong status for one
// recipient. A report without a valid token is never acted on.
import { timingSafeEqual } from 'node:crypto';
import { linkMac } from './link-mac.ts';
import type { LinkHolder, LinkKey } from './tracking-token.ts';

/** RFC 4648 section 6, in lower case: letters that people and machines copy. */
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
const subjectBytes = 18;
const macBytes = 5;
const tokenChars = Math.ceil(((subjectBytes + macBytes) * 8) / 5);
const prefix = 'b+';

/** The local part of a recipient's return path: 39 characters of the 64 that RFC 5321 section 4.5.3.1.1 allows. */
export function returnPathLocalPart({ key }: LinkKey, { messageId, recipientNumber }: LinkHolder): string {
  const subject = Buffer.alloc(subjectBytes);
  subject.write(messageId.replaceAll('-', ''), 'hex');
  subject.writeUInt16BE(recipientNumber, 16);
  return prefix + encode(Buffer.concat([subject, mac(key, subject)]));
}

/** Whom it is about; undefined for what is no return path of ours, or was changed. */
export function readReturnPath(keys: readonly LinkKey[], localPart: string): LinkHolder | undefined {
  const text = localPart.toLowerCase();
  if (!text.startsWith(prefix) || text.length !== prefix.length + tokenChars) return undefined;
  const bytes = decode(text.slice(prefix.length));
  if (bytes === undefined) return undefined;
  const subject = bytes.subarray(0, subjectBytes);
  if (!keys.some(({ key }) => timingSafeEqual(mac(key, subject), bytes.subarray(subjectBytes)))) return undefined;
  const hex = subject.toString('hex', 0, 16);
  const messageId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return { messageId, recipientNumber: subject.readUInt16BE(16) };
}

function mac(key: Uint8Array, subject: Uint8Array): Buffer {
  return linkMac(key, 'return-path', subject, macBytes);
}

function encode(bytes: Buffer): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet[(held >> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 31];
}

/** undefined for other characters, and for another text of the same bytes: a token has one form. */
function decode(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value < 0) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 255);
    held &= (1 << bits) - 1;
  }
  return held === 0 ? Buffer.from(bytes) : undefined;
}
