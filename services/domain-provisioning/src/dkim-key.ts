// DKIM key pairs (RFC 6376 section 3.3; RFC 8301: 2048 bits, the most that every verifier takes and that fits one UDP answer).

import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

/** The one that signs from the start, and the one that is published ahead for the day when they change places. */
export const selectors = [
  { selector: 'md1', active: true },
  { selector: 'md2', active: false },
] as const;

export interface DkimKeyPair {
  /** SubjectPublicKeyInfo, base64: what `p=` carries. */
  publicKey: string;
  /** PKCS#8 DER, in the clear: seal it before it goes anywhere. */
  privateKey: Buffer;
}

const generate = promisify(generateKeyPair);

/** In libuv's thread pool, never on the event loop: it takes from 10 to several hundred milliseconds. */
export async function generateDkimKeyPair(): Promise<DkimKeyPair> {
  const { publicKey, privateKey } = await generate('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  return { publicKey: publicKey.toString('base64'), privateKey };
}

/** What a sealed key is bound to: opened in any other place, it doesn't open. `tenantId` is the public id. */
export function dkimKeyContext(tenantId: string, domain: string, selector: string): string {
  return `dkim:${tenantId}:${domain}:${selector}`;
}

/** The same for a pair that belongs to nobody yet. */
export function spareKeyContext(id: string): string {
  return `dkim-spare:${id}`;
}
