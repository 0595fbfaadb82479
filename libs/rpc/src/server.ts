/**
 * The gRPC server of a service. For every call, in this order: who calls (token) → may they (allow-list) → is there a deadline →
 * the handler, inside a span that continues the caller's trace → the answer, or an error that tells nothing of its cause.
 */
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from '@grpc/grpc-js';
import type { CallRequest } from '@maildoot/proto/maildoot/rpc/v1/bundle';
import type { Health } from '@maildoot/runtime/health';
import type { Logger } from '@maildoot/runtime/logger';
import { contextFrom, histogram, tracer } from '@maildoot/runtime/telemetry';
import { context, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { type BundledMethod, bundleMethod, type Incoming, serveBundle } from './bundle-server.ts';
import { CallerTokenVerifier } from './caller-token.ts';
import { encodeError, RpcError, rpcErrors, toRpcError } from './errors.ts';
import { healthReport } from './health-report.ts';
import { HealthService, healthDefinition } from './health-service.ts';
import { MAX_MESSAGE_BYTES, METADATA, type RequestOf, type ResponseOf, type RpcCall, type RpcMethod, type RpcService } from './service.ts';

export type { RpcCall } from './service.ts';

/** One RPC: which services may call it, and what it does. A server stream is an async generator. */
export interface RpcImplementation<M extends RpcMethod> {
  readonly allow: readonly string[];
  readonly handle: M['responseStream'] extends true
    ? (request: RequestOf<M>, call: RpcCall) => AsyncIterable<ResponseOf<M>>
    : (request: RequestOf<M>, call: RpcCall) => Promise<ResponseOf<M>> | ResponseOf<M>;
}

/** A service definition together with all of its handlers. */
export interface ImplementedService {
  readonly definition: RpcService;
  readonly methods: Readonly<Record<string, UntypedImplementation>>;
}

interface UntypedImplementation {
  readonly allow: readonly string[];
  readonly handle: (request: never, call: RpcCall) => unknown;
}

/** Binds handlers to a generated definition; the compiler asks for every RPC of it. */
export function implement<D extends RpcService>(
  definition: D,
  methods: { readonly [K in keyof D]: RpcImplementation<D[K]> },
): ImplementedService {
  return { definition, methods: methods as Readonly<Record<string, UntypedImplementation>> };
}

export interface RpcServerOptions {
  /** `host:port` (port 0: a free one) or `unix:/path`. */
  readonly listen: string;
  readonly secret: string;
  /** This service's name, for spans. */
  readonly service: string;
  readonly logger: Logger;
  readonly implementations: readonly ImplementedService[];
  /** When given, the gRPC health service says NOT_SERVING until this is ready. */
  readonly health?: Health;
  /** How long calls in progress may take once the server is told to stop. */
  readonly drainTimeoutMs?: number;
  /** After so long a connection is replaced, so that calls spread to pods that came later. */
  readonly connectionMaxAgeMs?: number;
}

export interface RpcServer extends AsyncDisposable {
  /** Where it listens, ready for a client: `127.0.0.1:40123`. */
  readonly address: string;
}

const callDuration = histogram('rpc', 'rpc.server.call.duration', {
  unit: 'ms',
  description: 'How long calls took, by method and status.',
});

export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_connection_age_ms': options.connectionMaxAgeMs ?? 600_000,
    'grpc.max_connection_age_grace_ms': 120_000,
    'grpc-node.flow_control_window': 1024 * 1024,
    // Stays on though nobody reads it: without it grpc-js 1.14 keeps no list of connections for forceShutdown to close.
    'grpc.enable_channelz': 1,
  });
  const verifier = new CallerTokenVerifier(options.secret);
  const names: string[] = [];
  const bundled = new Map<string, BundledMethod>();
  for (const { definition, methods } of [...options.implementations, healthReport(options.health)]) {
    for (const [key, method] of Object.entries(definition)) {
      const implementation = methods[key];
      if (!implementation) throw new TypeError(`${method.path} has no handler`);
      const served = new Method(method, implementation, options, verifier);
      register(server, served);
      if (!method.responseStream) bundled.set(method.path, served);
      names.push(method.path.split('/')[1] ?? '');
    }
  }
  const serveBundleOf = (call: ServerWritableStream<CallRequest, Buffer>): void =>
    serveBundle(call, bundled.get(call.request.method), tokenOf(call), deadlineMs(call));
  server.register(bundleMethod.path, serveBundleOf, asItIs, bundleMethod.requestDeserialize, 'serverStream');
  const health = new HealthService(names, options.health ? options.health.state === 'ready' : true);
  server.addService(healthDefinition, health.implementation);
  const unsubscribe = options.health?.subscribe((state) => {
    health.serving = state === 'ready';
  });

  const address = await bind(server, options.listen);
  let stopping: Promise<void> | undefined;
  return {
    address,
    [Symbol.asyncDispose]() {
      stopping ??= (async () => {
        unsubscribe?.();
        health.serving = false;
        health.close();
        await drain(server, options.drainTimeoutMs ?? 10_000, options.logger);
      })();
      return stopping;
    },
  };
}

function bind(server: Server, listen: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(new Error(`cannot listen on ${listen}: ${error.message}`, { cause: error }));
      else resolve(listen.startsWith('unix:') ? listen : `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`);
    });
  });
}

async function drain(server: Server, timeoutMs: number, logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      logger.warn({ timeoutMs }, 'calls were still running when the time to stop was over');
      server.forceShutdown();
      resolve();
    }, timeoutMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function register(server: Server, method: Method): void {
  const { path, requestStream, responseStream, requestDeserialize } = method.definition;
  if (requestStream) throw new TypeError(`${path}: client streams are not supported`);
  if (responseStream) {
    const handle = (call: ServerWritableStream<unknown, Buffer>): void => void method.stream(call);
    server.register(path, handle, asItIs, requestDeserialize, 'serverStream');
  } else {
    const handle = (call: ServerUnaryCall<unknown, Buffer>, callback: sendUnaryData<Buffer>): void => void method.unary(call, callback);
    server.register(path, handle, asItIs, requestDeserialize, 'unary');
  }
}

// Answers are serialized by the method itself: grpc-js would answer a failure there with a bare INTERNAL that nobody logs.
const asItIs = (bytes: Buffer): Buffer => bytes;

type AnyCall = ServerUnaryCall<unknown, Buffer> | ServerWritableStream<unknown, Buffer>;

/** One RPC of this server; made once, so that a call makes as little as it can. */
class Method {
  readonly definition: RpcMethod;
  readonly #handle: (request: unknown, call: RpcCall) => unknown;
  readonly #serialize: (value: unknown) => Buffer;
  readonly #allow: ReadonlySet<string>;
  readonly #logger: Logger;
  readonly #verifier: CallerTokenVerifier;
  readonly #service: string;
  readonly #name: string;
  readonly #spanAttributes: Record<string, string>;

  constructor(definition: RpcMethod, implementation: UntypedImplementation, options: RpcServerOptions, verifier: CallerTokenVerifier) {
    this.definition = definition;
    this.#handle = implementation.handle as (request: unknown, call: RpcCall) => unknown;
    this.#serialize = definition.responseSerialize as (value: unknown) => Buffer;
    this.#allow = new Set(implementation.allow);
    this.#logger = options.logger;
    this.#verifier = verifier;
    this.#service = options.service;
    this.#name = definition.path.slice(1);
    const [service = '', method = ''] = this.#name.split('/');
    this.#spanAttributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
  }

  async unary(call: ServerUnaryCall<unknown, Buffer>, callback: sendUnaryData<Buffer>): Promise<void> {
    let answer: Buffer;
    try {
      answer = await this.answer(new OwnCall(call), tokenOf(call), () => call.request);
    } catch (error) {
      callback(encodeError(toRpcError(error)));
      return;
    }
    callback(null, answer);
  }

  async answer(incoming: Incoming, token: string, request: () => unknown): Promise<Buffer> {
    const running = new RunningCall(incoming, this.#logger);
    const span = this.#startSpan(incoming);
    let failure: RpcError | undefined;
    try {
      const caller = this.#verifier.caller(token);
      running.caller = this.#admit(incoming, typeof caller === 'object' ? await caller : caller);
      const response = await context.with(trace.setSpan(context.active(), span), this.#handle, undefined, request(), running);
      return this.#serialize(response);
    } catch (error) {
      failure = running.failure(error);
      throw failure;
    } finally {
      running.finish();
      this.#ended(span, running, failure);
    }
  }

  async stream(call: ServerWritableStream<unknown, Buffer>): Promise<void> {
    const incoming = new OwnCall(call);
    const running = new RunningCall(incoming, this.#logger);
    const span = this.#startSpan(incoming);
    try {
      const caller = this.#verifier.caller(tokenOf(call));
      running.caller = this.#admit(incoming, typeof caller === 'object' ? await caller : caller);
      await context.with(trace.setSpan(context.active(), span), this.#writeAll, this, call, running);
      running.finish();
      call.end();
      this.#ended(span, running, undefined);
    } catch (error) {
      const failure = running.failure(error);
      running.finish();
      // grpc-js takes the status and trailers of a stream from the error that is emitted on it.
      call.emit('error', Object.assign(new Error(failure.code), encodeError(failure)));
      this.#ended(span, running, failure);
    }
  }

  /** Writes what the handler yields, one frame ahead of what the network has taken. */
  async #writeAll(call: ServerWritableStream<unknown, Buffer>, running: RunningCall): Promise<void> {
    const frames = this.#handle(call.request, running) as AsyncIterable<unknown>;
    let written: Promise<void> = Promise.resolve();
    for await (const frame of frames) {
      await written;
      // Leaving the loop runs the handler's `finally` blocks.
      if (running.cancelled) return;
      written = running.write(call, this.#serialize(frame));
    }
    await written;
  }

  /** The caller's name, or the refusal. */
  #admit(incoming: Incoming, caller: string | undefined): string {
    if (caller === undefined) throw rpcErrors.CALLER_UNKNOWN({ message: 'The caller’s token is missing, expired or not ours.' });
    if (!this.#allow.has(caller)) throw rpcErrors.CALLER_NOT_ALLOWED({ message: `${caller} may not call ${this.#name}.` });
    if (incoming.deadlineMs === Number.POSITIVE_INFINITY) throw rpcErrors.DEADLINE_REQUIRED({ message: 'A call needs a deadline.' });
    return caller;
  }

  #startSpan(incoming: Incoming): Span {
    const parent = contextFrom(incoming.traceparent);
    return tracer(this.#service).startSpan(this.#name, { kind: SpanKind.SERVER, attributes: this.#spanAttributes }, parent);
  }

  #ended(span: Span, running: RunningCall, failure: RpcError | undefined): void {
    callDuration.record(performance.now() - running.startedAt, { method: this.#name, status: failure?.status ?? 'OK' });
    if (failure) {
      span.setAttribute('error.type', failure.code);
      if (failure.status === 'INTERNAL' || failure.status === 'UNKNOWN') {
        span.setStatus({ code: SpanStatusCode.ERROR });
        running.logger.error({ err: failure.cause ?? failure, method: this.#name }, 'call failed');
      } else if (failure.cause !== undefined) {
        running.logger.info({ err: failure, method: this.#name }, 'call refused');
      } else {
        running.logger.debug({ method: this.#name, code: failure.code }, 'call refused');
      }
    }
    span.end();
  }
}

/** A call that came alone; what stands in its metadata is read only where somebody asks. */
class OwnCall implements Incoming {
  readonly #call: AnyCall;

  constructor(call: AnyCall) {
    this.#call = call;
  }

  get tenantId(): string {
    return text(this.#call, METADATA.tenant) ?? '';
  }

  get requestId(): string {
    return text(this.#call, METADATA.request) ?? '';
  }

  get traceparent(): string | undefined {
    return text(this.#call, METADATA.traceparent);
  }

  get deadlineMs(): number {
    return deadlineMs(this.#call);
  }

  get cancelled(): boolean {
    return this.#call.cancelled;
  }

  onCancelled(listener: () => void): void {
    this.#call.once('cancelled', listener);
  }
}

/** What a handler sees of its call. The signal and the logger are made only for handlers that ask for them. */
class RunningCall implements RpcCall {
  caller = '';
  readonly startedAt = performance.now();
  readonly #incoming: Incoming;
  readonly #parentLogger: Logger;
  #finished = false;
  #controller: AbortController | undefined;
  #logger: Logger | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(incoming: Incoming, logger: Logger) {
    this.#incoming = incoming;
    this.#parentLogger = logger;
    // grpc-js emits `cancelled` at the end of every call, successful or not.
    incoming.onCancelled(() => {
      if (this.#finished) return;
      this.#controller?.abort(cancellation());
      this.#wakeWriter?.();
    });
  }

  get tenantId(): string {
    return this.#incoming.tenantId;
  }

  get requestId(): string {
    return this.#incoming.requestId;
  }

  get deadline(): Date {
    return new Date(this.#incoming.deadlineMs);
  }

  get cancelled(): boolean {
    return this.#incoming.cancelled;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.cancelled && !this.#finished) this.#controller.abort(cancellation());
    }
    return this.#controller.signal;
  }

  get logger(): Logger {
    this.#logger ??= this.#parentLogger.child({
      ...(this.requestId ? { request_id: this.requestId } : {}),
      ...(this.tenantId ? { tenant_id: this.tenantId } : {}),
      ...(this.caller ? { caller: this.caller } : {}),
    });
    return this.#logger;
  }

  finish(): void {
    this.#finished = true;
  }

  /** What a handler's failure means. One that gave up because its caller did isn't a mistake of ours. */
  failure(error: unknown): RpcError {
    if (!this.cancelled || error instanceof RpcError) return toRpcError(error);
    return Date.now() >= this.#incoming.deadlineMs
      ? rpcErrors.TIMEOUT({ message: 'The deadline has passed.', cause: error })
      : rpcErrors.CANCELLED({ message: 'The caller gave up.', cause: error });
  }

  /** Done when the network has taken the frame. grpc-js drops the callback when the call is cancelled, hence the second way out. */
  write(call: ServerWritableStream<unknown, Buffer>, frame: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.cancelled) return resolve();
      this.#wakeWriter = resolve;
      call.write(frame, () => resolve());
    });
  }
}

function cancellation(): DOMException {
  return new DOMException('The caller gave up, or the deadline has passed.', 'AbortError');
}

function deadlineMs(call: AnyCall): number {
  const deadline = call.getDeadline();
  return deadline instanceof Date ? deadline.getTime() : deadline;
}

function text(call: AnyCall, name: string): string | undefined {
  const value = call.metadata.get(name)[0];
  return typeof value === 'string' ? value : undefined;
}

function tokenOf(call: AnyCall): string {
  return text(call, METADATA.token) ?? '';
}
