// The idempotency key of a request, as the gateway hands it on.

import { errors } from './errors.ts';

/** What makes a request the same as an earlier one. */
export interface Repeatable {
  key: string;
  requestHash: Uint8Array;
}

/** undefined where none was given. @throws RpcError VALIDATION_ERROR for one that can't be kept */
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

/** The answer that was given before. @throws RpcError IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_PROGRESS */
export function storedAnswer(once: { outcome: 'replay'; response: Buffer } | { outcome: 'mismatch' } | { outcome: 'in_progress' }): Buffer {
  switch (once.outcome) {
    case 'replay':
      return once.response;
    case 'mismatch':
      throw errors.IDEMPOTENCY_MISMATCH({
        message: 'This idempotency key was used with another request. Use a new one for another domain.',
      });
    case 'in_progress':
      throw errors.IDEMPOTENCY_IN_PROGRESS({
        message: 'The first request with this idempotency key is still running. Try again shortly.',
        retryAfterMs: 1000,
      });
  }
}
