/**
 * Signing by Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 *
 * What is signed is `id.timestamp.body`, with the bytes of the body as they go over the wire; the key is the *decoded* secret. While a
 * secret is being replaced, both sign: the header is a list, and a receiver takes what it knows.
 */
import { createHmac, randomBytes } from 'node:crypto';

const secretPrefix = 'whsec_';
// The standard allows 24 to 64; the same as the hash, more adds nothing.
const secretBytes = 32;

/** A new secret, as its owner gets it: `whsec_` and base64. */
export function newSecret(): string {
  return secretPrefix + randomBytes(secretBytes).toString('base64');
}

/** The bytes that a secret stands for. @throws TypeError for what is no secret */
export function keyOfSecret(secret: string): Buffer {
  const key = Buffer.from(secret.slice(secretPrefix.length), 'base64');
  if (!secret.startsWith(secretPrefix) || key.length < 24 || key.length > 64) throw new TypeError('this is no secret of a webhook');
  return key;
}

export interface Signed {
  /** The same for every attempt at one event: receivers leave out by it what they had before. */
  readonly id: string;
  /** Of this attempt. */
  readonly timestamp: Date;
  readonly body: Uint8Array;
}

/** The headers of one attempt. `secrets`: at least one, the newest first. */
export function webhookHeaders({ id, timestamp, body }: Signed, secrets: readonly string[]): Record<string, string> {
  const seconds = String(Math.floor(timestamp.getTime() / 1000));
  const signatures = secrets.map((secret) => {
    const mac = createHmac('sha256', keyOfSecret(secret)).update(`${id}.${seconds}.`).update(body);
    return `v1,${mac.digest('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signatures.join(' ') };
}
