// The idempotency keys of AcceptMessages: one of the request as a whole, one of each item; and what a key that was used before makes of them.
import type { IdempotencyClaim, IdempotencyFinding, IdempotencyRequest } from '@maildoot/db/idempotency';
import { type AcceptMessagesRequest, AcceptResult, type OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { RpcError } from '@maildoot/rpc/errors';
import { errors } from './errors.ts';

export const maxKeyChars = 255;

export function isBadKey(key: string): boolean {
  return key !== '' && (key.length > maxKeyChars || /\p{Cc}/u.test(key));
}

// Test messages have keys of their own: one that was tried out with a test key must not keep the live message from being sent.
function operationOf(name: string, test: boolean | undefined): string {
  return test === true ? `${name}.test` : name;
}

/** None or one. A request's messages are all tests, or none is: that is its credential's to say. */
export function requestKeys(request: AcceptMessagesRequest, tenantId: string): IdempotencyRequest[] {
  if (request.idempotencyKey === '') return [];
  const operation = operationOf('messages', request.messages[0]?.test);
  return [{ tenantId, operation, key: request.idempotencyKey, requestHash: request.requestSha256 }];
}

export function itemKey(
  { idempotencyKey: key, requestSha256: requestHash, test }: OutgoingMessage,
  tenantId: string,
): IdempotencyRequest | undefined {
  return key === '' ? undefined : { tenantId, operation: operationOf('messages.item', test), key, requestHash };
}

/** What an item's key makes of the item with this id; undefined = it is to be worked on. */
export function settledBy(found: IdempotencyFinding | IdempotencyClaim, id: string): AcceptResult | undefined {
  switch (found.outcome) {
    case 'replay': {
      const { result } = AcceptResult.decode(found.response);
      // The same id: the gateway asks again because it did not hear the answer.
      return { result, replayed: result?.$case === 'accepted' && result.value.id !== id };
    }
    case 'mismatch':
      return { result: { $case: 'error', value: mismatch().detail }, replayed: false };
    case 'in_progress':
      return { result: { $case: 'error', value: inProgress().detail }, replayed: false };
    case 'absent':
    case 'claimed':
      return undefined;
    default:
      return found satisfies never;
  }
}

export function mismatch(): RpcError {
  return errors.IDEMPOTENCY_MISMATCH({ message: 'This idempotency key was used with another request. Use a new key for a new request.' });
}

export function inProgress(): RpcError {
  return errors.IDEMPOTENCY_IN_PROGRESS({
    message: 'The first request with this idempotency key is still running. Try again shortly.',
    retryAfterMs: 1000,
  });
}
