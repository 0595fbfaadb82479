// Refresh tokens and one-time links: 256 random bits, of which the database has the SHA-256, as of API keys.
import { createHash, randomBytes } from 'node:crypto';

export interface SecretToken {
  token: string;
  sha256: Buffer;
}

export function newSecretToken(prefix: 'rt_' | 'otl_'): SecretToken {
  const token = prefix + randomBytes(32).toString('base64url');
  return { token, sha256: sha256Of(token) };
}

/** Undefined for what can't be one: not worth a question. */
export function sha256OfToken(prefix: 'rt_' | 'otl_', token: string): Buffer | undefined {
  return token.startsWith(prefix) && token.length === prefix.length + 43 ? sha256Of(token) : undefined;
}

function sha256Of(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}
