/**
 * The client's side of bundles: calls of one RPC that are made in the same turn of the event loop go as one call on the wire, which saves
 * most of what a call costs. Nothing waits for a timer, and a call that finds no company goes by itself.
 */
import { type Client, type ClientReadableStream, status as grpcStatus, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { type BundledAnswer, type BundledFailure, BundleServiceService, type CallResponse } from '@maildoot/proto/maildoot/rpc/v1/bundle';
import { RpcError, statusName } from './errors.ts';

const { call: bundleMethod } = BundleServiceService;

/** A larger request goes by itself: others would wait for it on the wire. */
export const MAX_BUNDLED_BYTES = 32 * 1024;
const MAX_BUNDLE_BYTES = 256 * 1024;
const MAX_BUNDLE_CALLS = 64;
// Of a deadline so much is lost at most.
const SAME_DEADLINE_MS = 100;
// A peer of an older version is asked so seldom whether it is still one.
const NOT_KNOWN_FOR_MS = 30_000;

/** One call, waiting for company and then for its answer. */
export interface Bundled {
  readonly bytes: Buffer;
  readonly tenantId: string | undefined;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly token: string;
  /** Unix time. */
  readonly deadlineMs: number;
  /** Makes the call that it would have been otherwise. */
  goAlone(): void;
  resolve(response: Buffer): void;
  /** What the peer said, or what gRPC says of the bundle. */
  reject(error: RpcError | ServiceError): void;
}

export class Bundler {
  readonly #channel: Client;
  readonly #path: string;
  readonly #metadata: (token: string) => Metadata;
  #waiting: Bundled[] = [];
  #notBeforeMs = 0;

  /** @param metadata what every call carries: the caller's token */
  constructor(channel: Client, path: string, metadata: (token: string) => Metadata) {
    this.#channel = channel;
    this.#path = path;
    this.#metadata = metadata;
  }

  add(call: Bundled): void {
    if (this.#waiting.push(call) === 1) setImmediate(() => this.#send());
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (performance.now() < this.#notBeforeMs) {
      for (const call of waiting) call.goAlone();
      return;
    }
    for (const bundle of bundlesOf(waiting)) {
      if (bundle.length === 1) bundle[0]?.goAlone();
      else this.#sendOrRefuse(bundle);
    }
  }

  /** gRPC throws where the client was closed meanwhile; here nobody would catch it. */
  #sendOrRefuse(bundle: Bundled[]): void {
    try {
      this.#sendTogether(bundle);
    } catch {
      // Each hears it from its own call.
      for (const call of bundle) call.goAlone();
    }
  }

  #sendTogether(bundle: Bundled[]): void {
    const [{ token } = { token: '' }] = bundle;
    const calls = bundle.map(({ bytes, tenantId = '', requestId = '', traceparent = '' }) => ({
      request: bytes,
      tenantId,
      requestId,
      traceparent,
    }));
    const unanswered = new Map(bundle.entries());
    const stream: ClientReadableStream<CallResponse> = this.#channel.makeServerStreamRequest(
      bundleMethod.path,
      bundleMethod.requestSerialize,
      bundleMethod.responseDeserialize,
      { method: this.#path, calls },
      this.#metadata(token),
      { deadline: Math.min(...bundle.map(({ deadlineMs }) => deadlineMs)) },
    );
    stream.on('data', ({ answers }: CallResponse) => {
      for (const answer of answers) {
        const call = unanswered.get(answer.number);
        unanswered.delete(answer.number);
        if (call) settle(call, answer);
      }
    });
    stream.on('error', (error: ServiceError) => {
      const isOlder = error.code === grpcStatus.UNIMPLEMENTED && unanswered.size === bundle.length;
      if (isOlder) this.#notBeforeMs = performance.now() + NOT_KNOWN_FOR_MS;
      for (const call of unanswered.values()) {
        if (isOlder) call.goAlone();
        else call.reject(error);
      }
      unanswered.clear();
    });
    stream.on('end', () => {
      for (const call of unanswered.values()) call.reject(noAnswer());
      unanswered.clear();
    });
  }
}

/** In their order. Those that are given up at about the same time go together, and are given up with the first of them. */
function bundlesOf(calls: readonly Bundled[]): Bundled[][] {
  const bundles: { calls: Bundled[]; sizeBytes: number; deadlineMs: number }[] = [];
  for (const call of calls) {
    const bundle = bundles.findLast(
      ({ calls: { length }, sizeBytes, deadlineMs }) =>
        length < MAX_BUNDLE_CALLS &&
        sizeBytes + call.bytes.length <= MAX_BUNDLE_BYTES &&
        Math.abs(deadlineMs - call.deadlineMs) <= SAME_DEADLINE_MS,
    );
    if (bundle === undefined) bundles.push({ calls: [call], sizeBytes: call.bytes.length, deadlineMs: call.deadlineMs });
    else {
      bundle.calls.push(call);
      bundle.sizeBytes += call.bytes.length;
    }
  }
  return bundles.map((bundle) => bundle.calls);
}

function settle(call: Bundled, { result }: BundledAnswer): void {
  if (result?.$case === 'response') call.resolve(result.value);
  else call.reject(result === undefined ? noAnswer() : errorOf(result.value));
}

function errorOf({ status, retryable, detail }: BundledFailure): RpcError {
  const { code = 'INTERNAL_ERROR', message = '', issues = [], retryAfterMs = 0 } = detail ?? {};
  const options = { message, issues, ...(retryAfterMs > 0 ? { retryAfterMs } : {}) };
  return new RpcError(code, { status: statusName(status), retryable }, options, true);
}

/** A peer that ended a bundle without having answered it all made a mistake. */
function noAnswer(): RpcError {
  return new RpcError('INTERNAL_ERROR', { status: 'INTERNAL', retryable: false }, { message: 'Something went wrong on our side.' }, true);
}
