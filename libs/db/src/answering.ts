// Trouble with the database that passes by itself is the service's UNAVAILABLE, which callers try again, rather than a mistake of ours.
import { isTransientError } from './errors.ts';

/** For `retryAfterMs`. A server that was killed has recovered and takes connections again within it, as a rule; a second would be too soon. */
export const databaseAwayRetryAfterMs = 5_000;

type Handle<Request, Call, Response> = (request: Request, call: Call) => Promise<Response>;

/** Wraps the handlers of a service. `unavailable` makes its error of a transient one. */
export function answeringWith(unavailable: (cause: unknown) => Error) {
  return <Request, Call, Response>(handle: Handle<Request, Call, Response>): Handle<Request, Call, Response> =>
    async (request, call) => {
      try {
        return await handle(request, call);
      } catch (cause) {
        throw isTransientError(cause) ? unavailable(cause) : cause;
      }
    };
}
