// Passwords: what one must be, what is kept of it, and whether one is it. Kept as scrypt (RFC 7914) in a PHC string with its parameters, so
// that they can be raised: the next login writes the new form. 32 MB and a tenth of a second or two per try, in the thread pool, which is
// why callers come through a gate.
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';

/** OWASP's choice for 32 MB: N = 2^15, r = 8, p = 3. */
const current = { ln: 15, r: 8, p: 3 } as const;
const saltBytes = 16;
const hashBytes = 32;

/** NIST SP 800-63B section 5.1.1.2: length is what counts; no rules about kinds of characters. */
const leastCharacters = 10;
/** Longer ones cost us without making anything safer. */
const mostBytes = 1024;

/** One form of one password, whatever keyboard it was typed on (RFC 8265 section 4.2.2: NFC). */
function normalised(password: string): string {
  return password.normalize('NFC');
}

/** Nothing when it may become somebody's password. */
export function checkPassword(password: string, path: string, email: string | undefined): Issue[] {
  const text = normalised(password);
  if ([...text].length < leastCharacters)
    return [
      { path, code: 'too_short', message: `A password has at least ${leastCharacters} characters. A few words in a row are a good one.` },
    ];
  if (Buffer.byteLength(text) > mostBytes) return [{ path, code: 'too_long', message: `A password has at most ${mostBytes} bytes.` }];
  const folded = text.toLowerCase();
  const easy = new Set(text).size < 4 || (email !== undefined && (folded === email || folded === email.split('@')[0]));
  if (easy) return [{ path, code: 'too_easy', message: 'This would be guessed first. A few words in a row are a good one.' }];
  return [];
}

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, salt, current);
  return `$scrypt$ln=${current.ln},r=${current.r},p=${current.p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** As much work as for a password that somebody has. */
const nobodys = `$scrypt$ln=${current.ln},r=${current.r},p=${current.p}$${unpadded(Buffer.alloc(saltBytes))}$${unpadded(Buffer.alloc(hashBytes))}`;

/** `kept` undefined: there is no such account, or it has no password yet; the answer takes as long. */
export async function isPassword(password: string, kept: string | undefined): Promise<{ ok: boolean; outdated: boolean }> {
  const { parameters, salt, hash } = parse(kept ?? nobodys);
  const derived = Buffer.byteLength(password) > mostBytes ? Buffer.alloc(hashBytes) : await derive(password, salt, parameters);
  const ok = timingSafeEqual(derived, hash) && kept !== undefined;
  return { ok, outdated: parameters.ln !== current.ln || parameters.r !== current.r || parameters.p !== current.p };
}

interface Parameters {
  ln: number;
  r: number;
  p: number;
}

function parse(kept: string): { parameters: Parameters; salt: Buffer; hash: Buffer } {
  const match = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(kept);
  if (match === null) throw new Error('a password is kept in a form that this release does not know');
  const [, ln, r, p, salt = '', hash = ''] = match;
  return {
    parameters: { ln: Number(ln), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

function derive(password: string, salt: Buffer, { ln, r, p }: Parameters): Promise<Buffer> {
  const options: ScryptOptions = { N: 2 ** ln, r, p, maxmem: 256 * 2 ** ln * r };
  return new Promise((resolve, reject) =>
    scrypt(normalised(password), salt, hashBytes, options, (error, key) => (error ? reject(error) : resolve(key))),
  );
}
