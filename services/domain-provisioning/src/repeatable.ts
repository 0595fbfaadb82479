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
