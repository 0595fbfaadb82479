/**
 * Sealing what rests in a database: AES-256-GCM. The key's id is inside, so that keys can be changed; what the sealed thing belongs to
 * (tenant, domain, selector …) is authenticated along, so that a blob copied into another row does not open there.
 *
 * A blob is: version (1 byte) · length of the key id (1) · key id · nonce (12) · ciphertext · tag (16). Everything before the
 * ciphertext is authenticated too.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** - `UNKNOWN_KEY`: sealed with a key that isn't configured (any more). - `CORRUPT`: changed, cut, or belonging to something else. */
export class SealError extends Error {
  override readonly name = 'SealError';
  readonly code: 'UNKNOWN_KEY' | 'CORRUPT';
  constructor(code: 'UNKNOWN_KEY' | 'CORRUPT', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export interface Sealer {
  /** `associatedData` says what it belongs to; the same must be given to `open`. */
  seal(plain: Uint8Array | string, associatedData: Uint8Array | string): Buffer;
  /** Throws SealError. */
  open(blob: Uint8Array, associatedData: Uint8Array | string): Buffer;
}

/** A sealer: the first key seals, all of them open. */
export function createSealer(keys: readonly { readonly id: string; readonly key: Uint8Array }[]): Sealer {
  const known = new Map<string, KeyObject>();
  for (const { id, key } of keys) {
    if (key.length !== 32) throw new TypeError(`the sealing key ${id} has ${key.length} bytes instead of 32`);
    if (id === '' || Buffer.byteLength(id) > 255) throw new TypeError('a sealing key needs an id of 1–255 bytes');
    if (known.has(id)) throw new TypeError(`two sealing keys are called ${id}`);
    known.set(id, createSecretKey(key));
  }
  const first = keys[0];
  const sealingKey = first && known.get(first.id);
  if (!first || !sealingKey) throw new TypeError('a sealer needs at least one key');
  const idBytes = Buffer.from(first.id);
  const header = Buffer.concat([Buffer.from([VERSION, idBytes.length]), idBytes]);

  return {
    seal(plain, associatedData) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(withHeader(header, associatedData));
      const sealed = cipher.update(typeof plain === 'string' ? Buffer.from(plain) : plain);
      return Buffer.concat([header, nonce, sealed, cipher.final(), cipher.getAuthTag()]);
    },
    open(blob, associatedData) {
      const bytes = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
      const headerLength = 2 + (bytes[1] ?? 0);
      if (bytes[0] !== VERSION || bytes.length < headerLength + NONCE_BYTES + TAG_BYTES)
        throw new SealError('CORRUPT', 'this is nothing sealed');
      const id = bytes.toString('utf8', 2, headerLength);
      const key = known.get(id);
      if (!key) throw new SealError('UNKNOWN_KEY', `sealed with the key ${JSON.stringify(id)}, which is not configured`);
      const nonce = bytes.subarray(headerLength, headerLength + NONCE_BYTES);
      const sealed = bytes.subarray(headerLength + NONCE_BYTES, bytes.length - TAG_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(withHeader(bytes.subarray(0, headerLength), associatedData));
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(sealed), decipher.final()]);
      } catch (error) {
        throw new SealError('CORRUPT', 'the sealed bytes were changed, or belong to something else', error);
      }
    },
  };
}

function withHeader(header: Buffer, associatedData: Uint8Array | string): Buffer {
  return Buffer.concat([header, typeof associatedData === 'string' ? Buffer.from(associatedData) : associatedData]);
}
