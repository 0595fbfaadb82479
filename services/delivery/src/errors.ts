// Everything a call to delivery can fail with: a closed list.
import { isTransientError } from '@maildoot/db/errors';
import { defineErrors } from '@maildoot/rpc/errors';

export const errors = defineErrors({
  /** A field of the call is not what it must be. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** No such mail, or another tenant's. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** The database can't be reached at the moment. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
});

/** A handler whose trouble with the database is UNAVAILABLE, which callers try again, rather than a mistake of ours. */
export function answering<Request, Call, Response>(
  handle: (request: Request, call: Call) => Promise<Response>,
): (request: Request, call: Call) => Promise<Response> {
  return async (request, call) => {
    try {
      return await handle(request, call);
    } catch (cause) {
      if (!isTransientError(cause)) throw cause;
      throw errors.UNAVAILABLE({ message: 'The queue can’t be reached at the moment. Try again shortly.', retryAfterMs: 1000, cause });
    }
  };
}
