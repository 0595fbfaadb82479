// Requests that may arrive twice: under an idempotency key the second one gets the first one's answer.
import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import { repeatableWith, type WithIdempotencyKey } from '@maildoot/db/repeatable';
import { aliasTaken, errors, tooManyTemplates } from './errors.ts';
import type { Once, Store } from './store.ts';

const { repeatableOf, storedAnswer } = repeatableWith(errors);

/** What came of it, or its refusal. @throws RpcError */
export function outcomeOf<T>(once: Once<T>, absent: () => Error): { value: T } | { stored: Buffer } {
  switch (once.outcome) {
    case 'done':
      return { value: once.value };
    case 'alias_taken':
      throw aliasTaken();
    case 'too_many':
      throw tooManyTemplates();
    case 'absent':
      throw absent();
    case 'changed_meanwhile':
      return { stored: storedAnswer({ outcome: 'in_progress' }) };
    case 'replay':
    case 'mismatch':
    case 'in_progress':
      return { stored: storedAnswer(once) };
    default:
      return once satisfies never;
  }
}

/** @throws RpcError VALIDATION_ERROR for a key that can't be kept */
export function idempotencyRequest(tenantId: string, operation: string, request: WithIdempotencyKey): IdempotencyRequest | undefined {
  const repeatable = repeatableOf(request);
  return repeatable && { tenantId, operation, ...repeatable };
}

/** The answer of an earlier request with this key, before anything is checked: what was accepted once is not refused later. */
export async function earlierAnswer(store: Store, request: IdempotencyRequest | undefined, now: Date): Promise<Buffer | undefined> {
  if (request === undefined) return undefined;
  const finding = await store.findAnswer(request, now);
  return finding.outcome === 'absent' ? undefined : storedAnswer(finding);
}
