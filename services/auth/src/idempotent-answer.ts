// What the doors that take an idempotency key share: reading it, saying what came of a request that may arrive twice, and what its answer is
// sealed for.
import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import { repeatableWith } from '@maildoot/db/repeatable';
import { errors } from './errors.ts';

export const { repeatableOf, storedAnswer } = repeatableWith(errors);

/** Copied into another tenant's record, or under another key, a sealed answer doesn't open. */
export function sealedFor({ tenantId, operation: of, key }: IdempotencyRequest): string {
  return `idempotency:${tenantId}:${of}:${key}`;
}
