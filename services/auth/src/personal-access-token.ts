// A personal access token: its form, and how it rests. It is looked up by its SHA-256, like a key; unlike a key its owner may read it again, so
// it is kept sealed as well.
import { randomBytes } from 'node:crypto';
import type { Sealer } from '@maildoot/runtime/seal';
import { sha256Of, toBase62 } from './api-key.ts';

/** What scanners of published code look for: this, and 43 letters and digits. */
const marker = 'pat_';

interface GeneratedToken {
  value: string;
  sha256: Buffer;
}

export function generatePersonalAccessToken(): GeneratedToken {
  const value = marker + toBase62(randomBytes(32));
  return { value, sha256: sha256Of(value) };
}

export function sealToken(sealer: Sealer, value: string, user: { tenantId: string; id: string }): Buffer {
  return sealer.seal(value, sealedFor(user));
}

export function openToken(sealer: Sealer, sealedValue: Uint8Array, user: { tenantId: string; id: string }): string {
  return sealer.open(sealedValue, sealedFor(user)).toString('utf8');
}

/** Copied into somebody else's row it doesn't open. */
function sealedFor({ tenantId, id }: { tenantId: string; id: string }): string {
  return `personal_access_token:${tenantId}:${id}`;
}
