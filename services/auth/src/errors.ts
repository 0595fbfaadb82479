// What a call to auth can fail with: a closed list.

import { answeringWith, databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { defineErrors } from '@maildoot/rpc/errors';

export const errors = defineErrors({
  /** Unknown, revoked and expired alike. */
  INVALID_TOKEN: { status: 'UNAUTHENTICATED', retryable: false },
  /** The address and the password don't belong together, whichever is wrong. */
  INVALID_CREDENTIALS: { status: 'UNAUTHENTICATED', retryable: false },
  /** Too many tries. */
  RATE_LIMITED: { status: 'RESOURCE_EXHAUSTED', retryable: true },
  /** The caller's own key is too narrow for this. */
  INSUFFICIENT_SCOPE: { status: 'PERMISSION_DENIED', retryable: false },
  /** Not there, or somebody else's. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** The request is not what it must be; the issues say where. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** The address belongs to somebody already; the last owner can't go. */
  CONFLICT: { status: 'ALREADY_EXISTS', retryable: false },
  /** Some tenant's SMTP user has this name. */
  USERNAME_TAKEN: { status: 'ALREADY_EXISTS', retryable: false },
  /** The first request with this idempotency key has not been answered yet. */
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  /** The idempotency key was used with another request. */
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The database can't be reached. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
});

/** For every handler that asks the database. */
export const answering = answeringWith((cause) =>
  errors.UNAVAILABLE({
    message: 'Accounts and keys can’t be read or kept at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause,
  }),
);
