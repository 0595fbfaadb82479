/**
 * A client of one service: an object with one function per RPC. It connects lazily over one channel and keeps the connection alive;
 * a peer that isn't up answers UNAVAILABLE at once, until it is. Calls are not retried here (nobody below knows what is idempotent),
 * except where the connection failed before the server saw the call.
 */
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { histogram, traceparentOf, tracer } from '@maildoot/runtime/telemetry';
import { type Span, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { Bundler, MAX_BUNDLED_BYTES } from './bundler.ts';
import { CallerTokenSource } from './caller-token.ts';
import { decodeError, RpcError, rpcErrors } from './errors.ts';
import { MAX_MESSAGE_BYTES, METADATA, type RequestOf, type ResponseOf, type RpcCall, type RpcMethod, type RpcService } from './service.ts';

export interface RpcClientOptions {
  /** `host:port`, several `ip:port` separated by commas, or `unix:/path`. */
  readonly address: string;
  /** This service's name, as allow-lists write it. */
  readonly self: string;
  readonly secret: string;
  readonly defaultDeadlineMs: number;
  /** The RPCs that are called very often: their small calls of one moment go as one on the wire. */
  readonly bundled?: readonly string[];
}

/** What belongs to one call. */
export interface RpcCallOptions {
  /** `ten_…`: the tenant that the call is about. */
  readonly tenantId?: string | undefined;
  /** `req_…`: the request that the call serves. */
  readonly requestId?: string | undefined;
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The options for a call that a handler makes on behalf of the one it serves: same tenant and request, and not longer than that one waits. */
export function onBehalfOf(call: RpcCall): RpcCallOptions {
  return { tenantId: call.tenantId, requestId: call.requestId, deadlineMs: call.deadline.getTime() - Date.now(), signal: call.signal };
}

export type RpcClientMethod<M extends RpcMethod> = M['responseStream'] extends true
  ? (request: RequestOf<M>, options?: RpcCallOptions) => AsyncIterableIterator<ResponseOf<M>>
  : (request: RequestOf<M>, options?: RpcCallOptions) => Promise<ResponseOf<M>>;

export type RpcClient<D extends RpcService> = { readonly [K in keyof D]: RpcClientMethod<D[K]> } & AsyncDisposable;

// grpc-timeout is read by the peer into 32 bits of milliseconds.
const MAX_DEADLINE_MS = 3_600_000;
// Requests are serialized before the call is made: grpc-js would hide where a failure came from.
const asItIs = (bytes: Buffer): Buffer => bytes;
const NO_OPTIONS: RpcCallOptions = {};

const callDuration = histogram('rpc', 'rpc.client.call.duration', {
  unit: 'ms',
  description: 'How long calls took for their caller, by method and status.',
});

export function createRpcClient<D extends RpcService>(definition: D, options: RpcClientOptions): RpcClient<D> {
  const channel = new Client(targetOf(options.address), credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    // No call has a retry policy; what this leaves are calls that no handler has seen (refused by a connection that was closing).
    'grpc.enable_retries': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    // A peer that hangs (or a network that swallows) still has its connection; within 4 s it has none, and calls go to the others.
    'grpc.keepalive_time_ms': 1_000,
    'grpc.keepalive_timeout_ms': 3_000,
    'grpc.keepalive_permit_without_calls': 1,
    // Neither TXT records nor the environment's proxies have a say in where we connect.
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    // A headless service resolves to its pods, a list holds its addresses; calls spread over those that answer.
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.dns_min_time_between_resolutions_ms': 5_000,
    'grpc.use_local_subchannel_pool': 1,
    'grpc-node.flow_control_window': 1024 * 1024,
    'grpc.enable_channelz': 0,
  });
  const token = new CallerTokenSource(options.self, options.secret);
  const calls: Record<string | symbol, unknown> = {
    [Symbol.asyncDispose]: async () => channel.close(),
  };
  for (const [name, method] of Object.entries(definition)) {
    const caller = new MethodCaller(channel, method, token, options, options.bundled?.includes(name) === true);
    calls[name] = method.responseStream ? caller.stream.bind(caller) : caller.unary.bind(caller);
  }
  return calls as RpcClient<D>;
}

/** A list needs its family's scheme; one address or a name is resolved, and the path of a socket opened, without one. */
function targetOf(address: string): string {
  if (!address.includes(',')) return address;
  return `${address.startsWith('[') ? 'ipv6' : 'ipv4'}:${address}`;
}

/** One RPC of this client; made once, so that a call makes as little as it can. */
class MethodCaller {
  readonly #channel: Client;
  readonly #path: string;
  readonly #serialize: (value: unknown) => Buffer;
  readonly #deserialize: (bytes: Buffer) => unknown;
  readonly #token: CallerTokenSource;
  readonly #defaultDeadlineMs: number;
  readonly #self: string;
  readonly #name: string;
  readonly #spanAttributes: Record<string, string>;
  readonly #bundler: Bundler | undefined;

  constructor(channel: Client, method: RpcMethod, token: CallerTokenSource, options: RpcClientOptions, bundled: boolean) {
    this.#channel = channel;
    this.#path = method.path;
    this.#serialize = method.requestSerialize as (value: unknown) => Buffer;
    this.#deserialize = method.responseDeserialize;
    this.#token = token;
    this.#defaultDeadlineMs = options.defaultDeadlineMs;
    this.#self = options.self;
    this.#name = method.path.slice(1);
    const [service = '', rpc = ''] = this.#name.split('/');
    this.#spanAttributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': rpc };
    if (bundled) this.#bundler = new Bundler(channel, method.path, (value) => this.#metadata(value, undefined, NO_OPTIONS));
  }

  async unary(request: unknown, options: RpcCallOptions = NO_OPTIONS): Promise<unknown> {
    const startedAt = performance.now();
    const deadline = this.#deadline(options);
    const token = this.#token.current();
    const readyToken = typeof token === 'string' ? token : await token;
    const { signal } = options;
    if (signal?.aborted) throw rpcErrors.CANCELLED({ message: 'The call was given up.', cause: signal.reason });
    const bytes = this.#encode(request);
    const span = this.#startSpan();
    try {
      const response =
        this.#bundler !== undefined && signal === undefined && bytes.length <= MAX_BUNDLED_BYTES
          ? await this.#together(this.#bundler, bytes, readyToken, deadline, span, options)
          : await this.#alone(bytes, readyToken, deadline, span, options);
      this.#ended(span, startedAt, undefined);
      return response;
    } catch (error) {
      const failure = error instanceof RpcError ? error : decodeError(error as ServiceError, this.#path, signal?.aborted === true);
      this.#ended(span, startedAt, failure);
      throw failure;
    }
  }

  /** A call of its own. Rejects with gRPC's error. */
  #alone(bytes: Buffer, token: string, deadline: number, span: Span, options: RpcCallOptions): Promise<unknown> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const abort = signal ? (): void => call.cancel() : undefined;
      const call = this.#channel.makeUnaryRequest(
        this.#path,
        asItIs,
        this.#deserialize,
        bytes,
        this.#metadata(token, span, options),
        { deadline },
        (error: ServiceError | null, response?: unknown) => {
          if (abort) signal?.removeEventListener('abort', abort);
          if (error) reject(error);
          else resolve(response);
        },
      );
      if (abort) signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** With the other calls of this moment. Rejects with the peer's error, or with gRPC's. */
  #together(bundler: Bundler, bytes: Buffer, token: string, deadlineMs: number, span: Span, options: RpcCallOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      bundler.add({
        bytes,
        tenantId: options.tenantId,
        requestId: options.requestId,
        traceparent: traceparentOf(span),
        token,
        deadlineMs,
        goAlone: () => void this.#alone(bytes, token, deadlineMs, span, options).then(resolve, reject),
        resolve: (response) => {
          try {
            resolve(this.#deserialize(response));
          } catch (error) {
            reject(rpcErrors.INTERNAL_ERROR({ message: 'Something went wrong on our side.', cause: error }));
          }
        },
        reject,
      });
    });
  }

  /** Frames as they come; the peer is read no faster than the loop asks. Leaving the loop cancels the call. */
  async *stream(request: unknown, options: RpcCallOptions = NO_OPTIONS): AsyncGenerator<unknown, void, undefined> {
    const startedAt = performance.now();
    const deadline = this.#deadline(options);
    const token = this.#token.current();
    const readyToken = typeof token === 'string' ? token : await token;
    const { signal } = options;
    if (signal?.aborted) throw rpcErrors.CANCELLED({ message: 'The call was given up.', cause: signal.reason });
    const bytes = this.#encode(request);
    const span = this.#startSpan();
    const call = this.#channel.makeServerStreamRequest(
      this.#path,
      asItIs,
      this.#deserialize,
      bytes,
      this.#metadata(readyToken, span, options),
      { deadline },
    );
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
    let failure: RpcError | undefined;
    let complete = false;
    try {
      for await (const frame of call) yield frame;
      complete = true;
    } catch (error) {
      complete = true;
      failure = decodeError(error as ServiceError, this.#path, signal?.aborted === true);
      throw failure;
    } finally {
      signal?.removeEventListener('abort', abort);
      if (!complete) {
        // The status of a cancelled call is an error event that nobody waits for any more.
        call.on('error', () => undefined);
        call.cancel();
      }
      this.#ended(span, startedAt, failure);
    }
  }

  #encode(request: unknown): Buffer {
    try {
      return this.#serialize(request);
    } catch (error) {
      throw rpcErrors.INTERNAL_ERROR({ message: 'Something went wrong on our side.', cause: error });
    }
  }

  #deadline(options: RpcCallOptions): number {
    return Date.now() + Math.min(options.deadlineMs ?? this.#defaultDeadlineMs, MAX_DEADLINE_MS);
  }

  #metadata(token: string, span: Span | undefined, options: RpcCallOptions): Metadata {
    const metadata = new Metadata();
    metadata.set(METADATA.token, token);
    if (options.tenantId) metadata.set(METADATA.tenant, options.tenantId);
    if (options.requestId) metadata.set(METADATA.request, options.requestId);
    const traceparent = span === undefined ? undefined : traceparentOf(span);
    if (traceparent !== undefined) metadata.set(METADATA.traceparent, traceparent);
    return metadata;
  }

  #startSpan(): Span {
    return tracer(this.#self).startSpan(this.#name, { kind: SpanKind.CLIENT, attributes: this.#spanAttributes });
  }

  #ended(span: Span, startedAt: number, failure: RpcError | undefined): void {
    callDuration.record(performance.now() - startedAt, { method: this.#name, status: failure?.status ?? 'OK' });
    if (failure) {
      span.setAttribute('error.type', failure.code);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    span.end();
  }
}
