// The errors of the API: the one place that knows HTTP statuses. Services answer with codes and gRPC statuses; a code that is in the
// table keeps its name, any other becomes the code of its gRPC status. Causes stay in the log.
import { RpcError, type StatusName } from '@maildoot/rpc/errors';
import { type Issue, limitIssues } from './issues.ts';

interface Entry {
  /** HTTP status. */
  readonly status: number;
  /** What happened, for the reference. */
  readonly meaning: string;
  /** What to do about it, for the reference. */
  readonly remedy: string;
}

export const errorTable = {
  VALIDATION_ERROR: {
    status: 400,
    meaning: 'Something in the request is not as it must be.',
    remedy: '`issues` lists every problem with its path. Correct them all and send the request again.',
  },
  INVALID_JSON: {
    status: 400,
    meaning: 'The body is not JSON in UTF-8.',
    remedy: 'Serialise the body with a JSON library and send it as UTF-8.',
  },
  MISSING_TOKEN: { status: 401, meaning: 'The request has no credential.', remedy: 'Send the header `Authorization: Bearer mdsk_…`.' },
  INVALID_TOKEN: {
    status: 401,
    meaning: 'The credential is unknown, revoked or expired, or may not be used from this address.',
    remedy: 'Use another key, or make a new one with `POST /v1/api-keys`. A session is refreshed with `POST /v1/auth/refresh`.',
  },
  INVALID_CREDENTIALS: {
    status: 401,
    meaning: 'The address and the password do not belong together.',
    remedy: 'Correct them, or ask for a link with `POST /v1/auth/password/reset`.',
  },
  QUOTA_EXCEEDED: {
    status: 402,
    meaning: 'The messages of this day are used up: those of the account, or those of the key’s `daily_limit`.',
    remedy: 'Wait for the next day (UTC), use another key, or have the quota raised.',
  },
  INSUFFICIENT_SCOPE: {
    status: 403,
    meaning: 'The credential may not do this.',
    remedy: 'Use a key of the scope, or a session of the role, that the operation names.',
  },
  ACCOUNT_SUSPENDED: {
    status: 403,
    meaning: 'The account is suspended: it may look, and do nothing.',
    remedy: 'Ask whoever operates this installation.',
  },
  DOMAIN_NOT_VERIFIED: {
    status: 403,
    meaning: 'The domain of `from` is not a verified domain of yours.',
    remedy: 'Add it with `POST /v1/user-settings/domains`, publish the records, then verify it.',
  },
  SENDER_NOT_ALLOWED: {
    status: 403,
    meaning: 'The API key may not send from this domain.',
    remedy: 'Use a key whose `allowed_domains` has the domain of `from`.',
  },
  NOT_FOUND: { status: 404, meaning: 'There is no such thing, or it is not yours.', remedy: 'Check the id and the path.' },
  METHOD_NOT_ALLOWED: {
    status: 405,
    meaning: 'This address does not answer that method.',
    remedy: 'Use one of the methods in the header `Allow`.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    meaning: 'The request did not arrive in time.',
    remedy: 'Send the same request again on a new connection.',
  },
  DOMAIN_EXISTS: {
    status: 409,
    meaning: 'The domain is yours already, or somebody else has verified it.',
    remedy: 'Look at your list of domains.',
  },
  MESSAGE_NOT_CANCELLABLE: {
    status: 409,
    meaning: 'Every recipient has been handed over, or is being handed over.',
    remedy: 'Nothing can be done: mail can’t be called back.',
  },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    meaning: 'The first request with this idempotency key has not been answered yet.',
    remedy: 'Send the same request again after `Retry-After`.',
  },
  USERNAME_TAKEN: {
    status: 409,
    meaning: 'Somebody on this installation has an SMTP user of this name.',
    remedy: 'Choose another username.',
  },
  CONFLICT: { status: 409, meaning: 'The request contradicts the state of things.', remedy: 'Read the object again, then decide.' },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    meaning: 'The request or the message is too large.',
    remedy: 'A request has at most 60 MB, a message at most 40 MB when encoded.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    meaning: 'The body is not declared as JSON.',
    remedy: 'Send `Content-Type: application/json`, in UTF-8, without a content encoding.',
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    meaning: 'The idempotency key was used with another request.',
    remedy: 'Use a new key for a new request.',
  },
  TEMPLATE_ERROR: {
    status: 422,
    meaning: 'The template can’t be kept or can’t be rendered.',
    remedy: '`issues` says where, with `line` and `column` in the source. Correct the template.',
  },
  MISSING_VARIABLES: {
    status: 422,
    meaning: 'The template needs variables that the message does not give. Nothing is sent blank.',
    remedy: '`issues` names them. Give them, or let the template have a default.',
  },
  LOCKED: { status: 423, meaning: 'Something else is being done with this at the moment.', remedy: 'Wait until that has ended.' },
  RATE_LIMITED: {
    status: 429,
    meaning: 'There is too much of this at one time.',
    remedy: 'Send the same request again after `Retry-After`.',
  },
  INTERNAL_ERROR: { status: 500, meaning: 'Something went wrong on our side.', remedy: 'Try again. If it stays, report the `request_id`.' },
  UPSTREAM_ERROR: {
    status: 502,
    meaning: 'A system that the platform had to ask answered with an error.',
    remedy: 'Try again later; the message names the system.',
  },
  UNAVAILABLE: {
    status: 503,
    meaning: 'A part of the platform can’t be reached at the moment.',
    remedy: 'Send the same request again after `Retry-After`.',
  },
  TIMEOUT: {
    status: 504,
    meaning: 'A part of the platform took too long to answer. The request may have had its effect.',
    remedy: 'Send the same request again with the same idempotency key.',
  },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof errorTable;

/** Where a service's code is not in the table. A service that refuses the gateway itself is a mistake of ours. */
const codeOfStatus: Record<StatusName, ErrorCode> = {
  INVALID_ARGUMENT: 'VALIDATION_ERROR',
  OUT_OF_RANGE: 'VALIDATION_ERROR',
  NOT_FOUND: 'NOT_FOUND',
  ALREADY_EXISTS: 'CONFLICT',
  FAILED_PRECONDITION: 'CONFLICT',
  ABORTED: 'CONFLICT',
  UNAVAILABLE: 'UNAVAILABLE',
  CANCELLED: 'UNAVAILABLE',
  DEADLINE_EXCEEDED: 'TIMEOUT',
  PERMISSION_DENIED: 'INTERNAL_ERROR',
  UNAUTHENTICATED: 'INTERNAL_ERROR',
  RESOURCE_EXHAUSTED: 'INTERNAL_ERROR',
  UNIMPLEMENTED: 'INTERNAL_ERROR',
  INTERNAL: 'INTERNAL_ERROR',
  UNKNOWN: 'INTERNAL_ERROR',
  DATA_LOSS: 'INTERNAL_ERROR',
};

/** What the RPC library itself refuses a call of ours with, whatever its status says. */
const ourMistakes: ReadonlySet<string> = new Set(['DEADLINE_REQUIRED']);
/** What says when to try again. */
export const retried: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'IDEMPOTENCY_IN_PROGRESS', 'RATE_LIMITED']);
const retryAfterDefaultMs = 1000;

export interface ApiErrorOptions {
  issues?: readonly Issue[];
  retryAfterMs?: number | undefined;
  headers?: Readonly<Record<string, string>>;
  /** For the log only. */
  cause?: unknown;
}

/** An error as it is answered. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly issues: readonly Issue[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = errorTable[code].status;
    this.issues = limitIssues([...(options.issues ?? [])]);
    const headers: Record<string, string> = { ...options.headers };
    // RFC 9110 section 11.6.1: every 401 says how one authenticates.
    if (this.status === 401) headers['WWW-Authenticate'] ??= 'Bearer realm="maildoot"';
    if (retried.has(code)) {
      // Whole seconds, and never none: RFC 9110 section 10.2.3.
      headers['Retry-After'] = String(Math.max(1, Math.ceil((options.retryAfterMs ?? retryAfterDefaultMs) / 1000)));
    }
    this.headers = headers;
  }
}

export function validationError(issues: readonly Issue[]): ApiError {
  const count = issues.length === 1 ? 'There is 1 problem' : `There are ${issues.length} problems`;
  return new ApiError('VALIDATION_ERROR', `${count} with the request; see issues.`, { issues });
}

/** The one answer for what isn't there, isn't theirs, or can't exist: nobody can tell which. */
export function notFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is nothing here, or it is not yours. Check the id and the path.');
}

/** Anything that was thrown, as it is answered. */
export function apiErrorFrom(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RpcError) return fromRpc(error);
  return internalError(error);
}

export function internalError(cause: unknown): ApiError {
  return new ApiError('INTERNAL_ERROR', 'Something went wrong on our side. Try again; if it stays, report the request_id.', { cause });
}

/** A code from a service, inside an answer or an error, as a code of ours. */
export function knownCode(code: string): ErrorCode | undefined {
  return Object.hasOwn(errorTable, code) ? (code as ErrorCode) : undefined;
}

function fromRpc(error: RpcError): ApiError {
  const code = ourMistakes.has(error.code) ? 'INTERNAL_ERROR' : (knownCode(error.code) ?? codeOfStatus[error.status]);
  if (code === 'INTERNAL_ERROR') return internalError(error);
  if (code === 'NOT_FOUND') return notFound();
  // We only give a question up when nobody waits for its answer any more, or when we stop.
  if (error.code === 'CANCELLED')
    return new ApiError('UNAVAILABLE', 'The platform is being restarted. Send the same request again after Retry-After.', { cause: error });
  return new ApiError(code, error.message, { issues: error.detail.issues, retryAfterMs: error.retryAfterMs, cause: error });
}

/** The body of an error, the same everywhere. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string; request_id: string; issues?: readonly Issue[]; docs: string };
}

export function errorBody(error: Pick<ApiError, 'code' | 'message' | 'issues'>, requestId: string, publicUrl: string): ErrorBody {
  return {
    error: {
      code: error.code,
      message: error.message,
      request_id: requestId,
      ...(error.issues.length > 0 ? { issues: error.issues } : {}),
      docs: `${publicUrl}/docs/errors#${error.code}`,
    },
  };
}
