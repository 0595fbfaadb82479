// What the doors that take an idempotency key share: reading it, and saying what came of a request that may arrive twice.
import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import { errors } from './errors.ts';
import type { Once } from './store.ts';

/** What makes a request the same as an earlier one. */
export interface Repeatable {
  key: string;
  requestHash: Uint8Array;
}

/** Undefined where the request is not to be remembered. @throws RpcError VALIDATION_ERROR */
export function repeatableOf({
  idempotencyKey,
  requestSha256,
}: {
  idempotencyKey: string;
  requestSha256: Uint8Array;
}): Repeatable | undefined {
  if (idempotencyKey === '') return undefined;
  if (idempotencyKey.length > 255 || /\p{Cc}/u.test(idempotencyKey)) {
    const issue = { path: 'Idempotency-Key', code: 'invalid_value', message: 'At most 255 characters, none of them a control character.' };
    throw errors.VALIDATION_ERROR({ message: 'The idempotency key can’t be used.', issues: [issue] });
  }
  if (requestSha256.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
  return { key: idempotencyKey, requestHash: requestSha256 };
}

/** The stored answer. @throws RpcError IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_PROGRESS */
export function storedAnswer(once: Exclude<Once, { outcome: 'done' }>): Buffer {
  switch (once.outcome) {
    case 'replay':
      return once.response;
    case 'mismatch':
      throw errors.IDEMPOTENCY_MISMATCH({
        message: 'This idempotency key was used with another request. Use a new one for a new request.',
      });
    case 'in_progress':
      throw errors.IDEMPOTENCY_IN_PROGRESS({
        message: 'The first request with this idempotency key is still running. Try again shortly.',
        retryAfterMs: 1000,
      });
  }
}

/** Copied into another tenant's record, or under another key, a sealed answer doesn't open. */
export function sealedFor({ tenantId, operation: of, key }: IdempotencyRequest): string {
  return `idempotency:${tenantId}:${of}:${key}`;
}
