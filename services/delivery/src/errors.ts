// Everything a call to delivery can fail with: a closed list.
import { answeringWith, databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { defineErrors } from '@maildoot/rpc/errors';

export const errors = defineErrors({
  /** A field of the call is not what it must be. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** No such mail, or another tenant's. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** The database can't be reached at the moment. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
});

/** For every handler that asks the database. */
export const answering = answeringWith((cause) =>
  errors.UNAVAILABLE({
    message: 'The queue can’t be reached at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause,
  }),
);
