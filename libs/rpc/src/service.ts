/** The types that ts-proto's service definitions give to servers and clients. */
import type { Logger } from '@maildoot/runtime/logger';

/** One RPC of a generated service definition. */
export interface RpcMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  // `never` in the parameter's place accepts every generated serializer.
  readonly requestSerialize: (value: never) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

/** A generated service definition, as `MessagingServiceService`. */
export type RpcService = Readonly<Record<string, RpcMethod>>;

export type RequestOf<M extends RpcMethod> = ReturnType<M['requestDeserialize']>;
export type ResponseOf<M extends RpcMethod> = ReturnType<M['responseDeserialize']>;

/** What a handler knows about the call it serves. */
export interface RpcCall {
  /** The calling service, as its token says: `gateway`. */
  readonly caller: string;
  /** `ten_…`, or empty where the call is not about one tenant. */
  readonly tenantId: string;
  /** `req_…` of the request that all this serves, or empty. */
  readonly requestId: string;
  readonly deadline: Date;
  /** Aborted when the caller gave up or the deadline has passed. */
  readonly signal: AbortSignal;
  /** Carries the request id, the tenant and the caller. */
  readonly logger: Logger;
}

// What crosses the wire beside the message. Names of our own are indexed by HTTP/2's header compression, so that a repeated token
// costs one byte; `authorization` would be sent in full each time.
export const METADATA = {
  token: 'maildoot-token',
  tenant: 'maildoot-tenant',
  request: 'maildoot-request',
  traceparent: 'traceparent',
} as const;

export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
