// Requests that may arrive twice: under an idempotency key the second one gets the first one's answer.
import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import { aliasTaken, errors, tooManyTemplates } from './errors.ts';
import type { Once, Store } from './store.ts';

/** What came of it, or its refusal. @throws RpcError */
export function outcomeOf<T>(once: Once<T>, absent: () => Error): { value: T } | { stored: Buffer } {
  switch (once.outcome) {
    case 'done':
      return { value: once.value };
    case 'replay':
      return { stored: once.response };
    case 'alias_taken':
      throw aliasTaken();
    case 'too_many':
      throw tooManyTemplates();
    case 'absent':
      throw absent();
    case 'mismatch':
      throw errors.IDEMPOTENCY_MISMATCH({
        message: 'This idempotency key was used with another request. Use a new key for a new request.',
      });
    case 'changed_meanwhile':
    case 'in_progress':
      throw errors.IDEMPOTENCY_IN_PROGRESS({
        message: 'The first request with this idempotency key is still running. Try again shortly.',
        retryAfterMs: 1000,
      });
    default:
      return once satisfies never;
  }
}

export function idempotencyRequest(
  tenantId: string,
  operation: string,
  { idempotencyKey: key, requestSha256 }: { idempotencyKey: string; requestSha256: Uint8Array },
): IdempotencyRequest | undefined {
  if (key === '') return undefined;
  if (key.length > 255 || /\p{Cc}/u.test(key)) {
    const issue = { path: 'Idempotency-Key', code: 'invalid_value', message: 'At most 255 characters, none of them a control character.' };
    throw errors.VALIDATION_ERROR({ message: 'The idempotency key can’t be used.', issues: [issue] });
  }
  if (requestSha256.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
  return { tenantId, operation, key, requestHash: requestSha256 };
}

/** The answer of an earlier request with this key, before anything is checked: what was accepted once is not refused later. */
export async function earlierAnswer(store: Store, request: IdempotencyRequest | undefined, now: Date): Promise<Buffer | undefined> {
  if (request === undefined) return undefined;
  const finding = await store.findAnswer(request, now);
  if (finding.outcome === 'absent') return undefined;
  const outcome = outcomeOf<never>(finding, () => new Error('unreachable'));
  return 'stored' in outcome ? outcome.stored : undefined;
}
