// An API key: how one is made and what is kept of it. The key itself exists in the answer that returns it and nowhere else; the
// database has its SHA-256. A slow password hash would add nothing: 256 random bits can't be guessed, whatever the speed of a guess.

import { createHash, randomBytes } from 'node:crypto';

const marker = 'mdsk_';
const testMarker = 'mdsk_test_';
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** 62^43 > 2^256: what 32 bytes need at most, and what every key has, so that the length tells nothing. */
const encodedLength = 43;
const randomSizeBytes = 32;
const shownCharacters = 4;

export interface GeneratedKey {
  /** `mdsk_`, or `mdsk_test_`, and 43 characters; shown once. */
  key: string;
  /** What is stored. */
  sha256: Buffer;
  /** `mdsk_4fGh`: to recognise a key by in a list. */
  prefix: string;
}

export function generateApiKey(test = false, random: Uint8Array = randomBytes(randomSizeBytes)): GeneratedKey {
  const begin = test ? testMarker : marker;
  const key = begin + toBase62(random);
  return { key, sha256: sha256Of(key), prefix: key.slice(0, begin.length + shownCharacters) };
}

export function sha256Of(key: string): Buffer {
  return createHash('sha256').update(key, 'utf8').digest();
}

/** 32 bytes as one number, big-endian, in base 62, padded to the length every key has. */
export function toBase62(bytes: Uint8Array): string {
  if (bytes.length !== randomSizeBytes) throw new RangeError(`a credential takes ${randomSizeBytes} random bytes, not ${bytes.length}`);
  let rest = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (let position = 0; position < encodedLength; position++) {
    text = base62.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}
