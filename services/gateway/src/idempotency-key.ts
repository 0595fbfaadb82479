// The Idempotency-Key header: a structured-field string (RFC 9651 section 3.3.3) by the draft, bare text by most clients; both name the
// same key. What the key protects is compared by a hash over the request, so that whitespace and the order of keys don't matter.
import { hash } from 'node:crypto';
import type { Issue } from './issues.ts';

export const maxKeyChars = 255;

/** The key, or undefined when the header isn't there; problems are added to `issues`. */
export function idempotencyKeyOf(header: string | string[] | undefined, issues: Issue[]): string | undefined {
  if (header === undefined) return undefined;
  const problem = (message: string): undefined => {
    issues.push({ path: 'Idempotency-Key', code: 'invalid_idempotency_key', message });
    return undefined;
  };
  // Node joins repeated headers of this name with a comma; two keys for one request mean nothing.
  const text = Array.isArray(header) ? header.join(', ') : header;
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text);
  const key = quoted ? (quoted[1] ?? '').replace(/\\(["\\])/g, '$1') : text;
  if (key === '') return problem('The key is empty. Send a value of your own, such as a UUID, or leave the header out.');
  if (key.length > maxKeyChars) return problem(`The key has at most ${maxKeyChars} characters.`);
  if (!/^[\x20-\x7e]+$/.test(key)) return problem('The key consists of printable ASCII characters.');
  return key;
}

/** By what a service knows a request again. */
export interface Repeatable {
  idempotencyKey: string;
  requestSha256: Buffer;
}

/** For a request with a key; undefined for one without, which is done as often as it comes. */
export function repeatable(idempotencyKey: string | undefined, value: unknown): Repeatable | undefined {
  return idempotencyKey === undefined ? undefined : { idempotencyKey, requestSha256: requestHash(value) };
}

/** The same for calls that have the two fields themselves, empty without a key. */
export function repeatableFields(idempotencyKey: string | undefined, value: unknown): Repeatable {
  return repeatable(idempotencyKey, value) ?? { idempotencyKey: '', requestSha256: Buffer.alloc(0) };
}

/** Says that an answer was given before. */
export function replayedHeader(replayed: boolean): Record<string, string> | undefined {
  return replayed ? { 'Idempotent-Replayed': 'true' } : undefined;
}

/** SHA-256 over the value with its object keys sorted: two texts of the same JSON value have the same hash. */
export function requestHash(value: unknown): Buffer {
  return hash('sha256', JSON.stringify(sorted(value)), 'buffer');
}

// Only for values that JSON.parse made and that passed the limit for nesting.
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  // Without a prototype, so that a key named __proto__ is a key like any other.
  const result: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(value).sort()) result[key] = sorted((value as Record<string, unknown>)[key]);
  return result;
}
