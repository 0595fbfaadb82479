/**
 * What a call can fail with. A service declares a closed list of codes; what crosses the wire is the code, a safe message, the
 * issues and when to try again. The cause stays behind, for the log of the service that knew it.
 */
import { status as grpcStatus, Metadata, type ServiceError } from '@grpc/grpc-js';
import { ErrorDetail, type Issue } from '@maildoot/proto/maildoot/rpc/v1/error';

export type { ErrorDetail, Issue };

/** A gRPC status other than OK, by name. */
export type StatusName =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

/** One entry of a service's closed list. */
export interface ErrorSpec {
  readonly status: StatusName;
  /** Whether the same call can succeed later without anybody changing it. */
  readonly retryable: boolean;
}

export interface ErrorOptions {
  /** What is wrong and what to do; safe to show to the caller's user. */
  readonly message: string;
  readonly issues?: readonly Issue[];
  readonly retryAfterMs?: number;
  /** For the log only. */
  readonly cause?: unknown;
}

/** A failed call, on either side of the wire. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: string;
  readonly status: StatusName;
  readonly retryable: boolean;
  readonly detail: ErrorDetail;
  readonly retryAfterMs: number | undefined;
  /** True when it came over the wire, or stands for a call that failed on its way. */
  readonly remote: boolean;

  constructor(code: string, spec: ErrorSpec, options: ErrorOptions, remote = false) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = spec.status;
    this.retryable = spec.retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.remote = remote;
    this.detail = {
      code,
      message: options.message,
      issues: (options.issues ?? []).map(withoutUnset),
      retryAfterMs: Math.min(Math.max(0, Math.round(options.retryAfterMs ?? 0)), 2 ** 32 - 1),
    };
  }
}

export type ErrorMaker = ((options: ErrorOptions) => RpcError) & { readonly code: string } & ErrorSpec;

/** A service's closed list of errors: `throw errors.DOMAIN_NOT_VERIFIED({ message: '…' })`. */
export function defineErrors<const T extends Readonly<Record<string, ErrorSpec>>>(specs: T): { readonly [K in keyof T]: ErrorMaker } {
  const makers: Record<string, ErrorMaker> = {};
  for (const [code, spec] of Object.entries(specs)) {
    const make = (options: ErrorOptions): RpcError => new RpcError(code, spec, options);
    makers[code] = Object.assign(make, { code, status: spec.status, retryable: spec.retryable });
  }
  return makers as { readonly [K in keyof T]: ErrorMaker };
}

/** The errors that this library itself makes. */
export const rpcErrors = defineErrors({
  /** The peer can't be reached, or the connection was lost: the call may or may not have had its effect. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
  /** No answer before the deadline: the call may or may not have had its effect. */
  TIMEOUT: { status: 'DEADLINE_EXCEEDED', retryable: true },
  /** The caller gave up. */
  CANCELLED: { status: 'CANCELLED', retryable: false },
  /** A mistake of ours; the log of the service has the cause. */
  INTERNAL_ERROR: { status: 'INTERNAL', retryable: false },
  /** The peer doesn't know this call: an older version, or another service. */
  UNIMPLEMENTED: { status: 'UNIMPLEMENTED', retryable: false },
  /** The request or the answer is over 64 MB. */
  MESSAGE_TOO_LARGE: { status: 'RESOURCE_EXHAUSTED', retryable: false },
  /** The call carries no token, or a bad, expired or foreign one. */
  CALLER_UNKNOWN: { status: 'UNAUTHENTICATED', retryable: false },
  /** The caller is known and is not on the list of this call. */
  CALLER_NOT_ALLOWED: { status: 'PERMISSION_DENIED', retryable: false },
  /** The call carries no deadline. */
  DEADLINE_REQUIRED: { status: 'INVALID_ARGUMENT', retryable: false },
});

const ERROR_METADATA = 'maildoot-error-bin';
const RETRYABLE_METADATA = 'maildoot-retryable';

// HTTP/2 peers refuse header blocks over 64 KB, and base64 adds a third.
const MAX_DETAIL_BYTES = 40_000;

const INTERNAL_MESSAGE = 'Something went wrong on our side.';

// A peer that refuses *us* is our own mistake; passed on, it would tell our caller that he may not do what he may do.
const OUR_MISTAKES: ReadonlySet<string> = new Set(['CALLER_UNKNOWN', 'CALLER_NOT_ALLOWED', 'DEADLINE_REQUIRED', 'UNIMPLEMENTED']);

/**
 * An error as it goes out. A peer's error that a handler lets through stays what it is; everything that isn't an RpcError becomes
 * INTERNAL_ERROR and says nothing of its cause.
 */
export function toRpcError(error: unknown): RpcError {
  if (error instanceof RpcError && !(error.remote && OUR_MISTAKES.has(error.code))) return error;
  return rpcErrors.INTERNAL_ERROR({ message: INTERNAL_MESSAGE, cause: error });
}

/** The status and trailing metadata of an error. */
export function encodeError(error: RpcError): { code: grpcStatus; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  metadata.set(ERROR_METADATA, encodeDetail(error.detail));
  if (error.retryable) metadata.set(RETRYABLE_METADATA, '1');
  // The message travels in the detail alone: trailers are small and people read `code`.
  return { code: grpcStatus[error.status], details: error.code, metadata };
}

/** The error of a failed call at the client. `aborted`: the caller's own signal ended it. */
export function decodeError(error: ServiceError, path: string, aborted: boolean): RpcError {
  const encoded = error.metadata?.get(ERROR_METADATA)[0];
  if (encoded instanceof Uint8Array) {
    const detail = ErrorDetail.decode(encoded);
    const retryable = error.metadata.get(RETRYABLE_METADATA).length > 0;
    return new RpcError(
      detail.code,
      { status: statusName(error.code), retryable },
      { message: detail.message, issues: detail.issues, ...(detail.retryAfterMs > 0 ? { retryAfterMs: detail.retryAfterMs } : {}) },
      true,
    );
  }
  // No detail: the call never reached a handler, or its answer never reached us. The text of gRPC is the cause, not the message.
  const [maker, message, retryAfterMs] = withoutDetail(error.code, aborted);
  const options = { message, cause: new Error(`${path}: ${error.details}`), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return new RpcError(maker.code, maker, options, true);
}

function withoutDetail(code: grpcStatus, aborted: boolean): [maker: ErrorMaker, message: string, retryAfterMs?: number] {
  switch (code) {
    case grpcStatus.DEADLINE_EXCEEDED:
      return [rpcErrors.TIMEOUT, 'The answer took too long.'];
    case grpcStatus.CANCELLED:
      return aborted ? [rpcErrors.CANCELLED, 'The call was given up.'] : [rpcErrors.UNAVAILABLE, 'The connection was lost.', 1000];
    case grpcStatus.UNAVAILABLE:
      return [rpcErrors.UNAVAILABLE, 'The service can’t be reached at the moment.', 1000];
    case grpcStatus.RESOURCE_EXHAUSTED:
      return [rpcErrors.MESSAGE_TOO_LARGE, 'The request or its answer is too large.'];
    case grpcStatus.UNIMPLEMENTED:
      return [rpcErrors.UNIMPLEMENTED, 'The service does not know this call.'];
    default:
      return [rpcErrors.INTERNAL_ERROR, INTERNAL_MESSAGE];
  }
}

/** As its sender wrote it: decoding puts `undefined` where nothing was said. */
function withoutUnset({ line, column, ...issue }: Issue): Issue {
  return { ...issue, ...(line === undefined ? {} : { line }), ...(column === undefined ? {} : { column }) };
}

function encodeDetail(detail: ErrorDetail): Buffer {
  const bytes = ErrorDetail.encode(detail).finish();
  if (bytes.length <= MAX_DETAIL_BYTES) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // As many issues as fit, and a message that fits in any case.
  const short: ErrorDetail = { ...detail, message: detail.message.slice(0, 4000), issues: [] };
  let size = ErrorDetail.encode(short).finish().length;
  for (const issue of detail.issues) {
    size += Buffer.byteLength(issue.path) + Buffer.byteLength(issue.code) + Buffer.byteLength(issue.message) + 16;
    if (size > MAX_DETAIL_BYTES) break;
    short.issues.push(issue);
  }
  return Buffer.from(ErrorDetail.encode(short).finish());
}

export function statusName(code: grpcStatus): StatusName {
  return (grpcStatus[code] as StatusName | undefined) ?? 'UNKNOWN';
}
