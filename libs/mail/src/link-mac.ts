// The HMAC of what we give away to be given back: links in messages, return paths.
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

// Made once: from plain bytes Node makes one at each call, which takes six times as long as the HMAC.
const keyObjects = new WeakMap<Uint8Array, KeyObject>();

/** The first `length` bytes of HMAC-SHA256 of what it is for and whom it is about. */
export function linkMac(key: Uint8Array, purpose: string, subject: Uint8Array, length: number): Buffer {
  let keyObject = keyObjects.get(key);
  if (keyObject === undefined) {
    keyObject = createSecretKey(key);
    keyObjects.set(key, keyObject);
  }
  return createHmac('sha256', keyObject).update(`${purpose}\0`).update(subject).digest().subarray(0, length);
}
