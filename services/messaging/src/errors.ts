// The closed list of what calls to this service fail with. HTTP statuses are the gateway's.
import { databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { isTransientError } from '@maildoot/db/errors';
import { defineErrors, type RpcError } from '@maildoot/rpc/errors';

export const errors = defineErrors({
  /** The request is not what it must be; the issues say where. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** The From domain is not a verified one of the tenant. */
  DOMAIN_NOT_VERIFIED: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The credential may not send from this domain. */
  SENDER_NOT_ALLOWED: { status: 'PERMISSION_DENIED', retryable: false },
  /** The message is larger than 40 MB when encoded. */
  PAYLOAD_TOO_LARGE: { status: 'OUT_OF_RANGE', retryable: false },
  /** The message's template can't be rendered; the issues say where. */
  TEMPLATE_ERROR: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The message's template needs variables that it doesn't give. */
  MISSING_VARIABLES: { status: 'FAILED_PRECONDITION', retryable: false },
  /** Not there, or somebody else's. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** Every recipient is held by an attempt, or done with. */
  MESSAGE_NOT_CANCELLABLE: { status: 'FAILED_PRECONDITION', retryable: false },
  /** No recipient waits for its first attempt any more. */
  MESSAGE_NOT_RESCHEDULABLE: { status: 'FAILED_PRECONDITION', retryable: false },
  /** More of the tenant's recipients wait for their turn than may. */
  RATE_LIMITED: { status: 'RESOURCE_EXHAUSTED', retryable: true },
  /** The first request with this idempotency key has not been answered yet. */
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  /** The idempotency key was used with another request. */
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
  /** A message of this id exists, and it isn't this tenant's or it stands twice in the request. */
  CONFLICT: { status: 'ALREADY_EXISTS', retryable: false },
  /** The database, or a service that has to be asked, can't be reached. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
  /** More is being accepted than can be kept. Not UNAVAILABLE, which callers ask again about at once. */
  OVERLOADED: { status: 'UNAVAILABLE', retryable: true },
});

/** For what is not there and for what is another tenant's, in the same words: nobody learns which. */
export function noSuchMessage(): RpcError {
  return errors.NOT_FOUND({ message: 'There is no such message.' });
}

/** Trouble with the database that passes by itself, as the answer that says so; everything else as it is. */
export function unavailableIfTransient(error: unknown): unknown {
  if (!isTransientError(error)) return error;
  return errors.UNAVAILABLE({
    message: 'Messages can’t be read or kept at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause: error,
  });
}
