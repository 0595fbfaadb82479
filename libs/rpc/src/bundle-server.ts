/**
 * The server's side of bundles: small calls of one RPC that came as one. Each runs by itself, as if it had come alone, and is answered
 * when it is done; those that are done in the same turn of the event loop share a frame.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import {
  type BundledAnswer,
  type BundledCall,
  BundleServiceService,
  type CallRequest,
  CallResponse,
} from '@maildoot/proto/maildoot/rpc/v1/bundle';
import { encodeError, rpcErrors, toRpcError } from './errors.ts';

export const bundleMethod = BundleServiceService.call;

/** What the server knows about a call before it runs, whichever way it came. */
export interface Incoming {
  readonly tenantId: string;
  readonly requestId: string;
  readonly traceparent: string | undefined;
  /** Unix time; infinite where there is none. */
  readonly deadlineMs: number;
  readonly cancelled: boolean;
  /** Called at the end of every call, successful or not. */
  onCancelled(listener: () => void): void;
}

/** An RPC with one answer. */
export interface BundledMethod {
  readonly definition: { readonly requestDeserialize: (bytes: Buffer) => unknown };
  /** Rejects with an RpcError. */
  answer(incoming: Incoming, token: string, request: () => unknown): Promise<Buffer>;
}

/** @param method undefined: there is none of that name here */
export function serveBundle(
  call: ServerWritableStream<CallRequest, Buffer>,
  method: BundledMethod | undefined,
  token: string,
  deadlineMs: number,
): void {
  if (method === undefined) {
    const refusal = rpcErrors.UNIMPLEMENTED({ message: 'The service does not know this call.' });
    call.emit('error', Object.assign(new Error(refusal.code), encodeError(refusal)));
    return;
  }
  const { calls } = call.request;
  // One listener for all of them: a hundred on one emitter would look like a leak.
  const whenCancelled: (() => void)[] = [];
  call.once('cancelled', () => {
    for (const listener of whenCancelled) listener();
  });
  const answers = new AnswerFrames(call, calls.length);
  for (const [number, bundled] of calls.entries()) {
    const incoming = incomingOf(bundled, call, deadlineMs, (listener) => void whenCancelled.push(listener));
    const request = (): unknown => method.definition.requestDeserialize(bundled.request);
    method.answer(incoming, token, request).then(
      (response) => answers.add({ number, result: { $case: 'response', value: response } }),
      (error: unknown) => answers.add({ number, result: { $case: 'failure', value: failureOf(error) } }),
    );
  }
}

function incomingOf(
  { tenantId, requestId, traceparent }: BundledCall,
  call: ServerWritableStream<CallRequest, Buffer>,
  deadlineMs: number,
  onCancelled: (listener: () => void) => void,
): Incoming {
  return {
    tenantId,
    requestId,
    traceparent,
    deadlineMs,
    get cancelled() {
      return call.cancelled;
    },
    onCancelled,
  };
}

function failureOf(error: unknown) {
  const failure = toRpcError(error);
  return { status: encodeError(failure).code, retryable: failure.retryable, detail: failure.detail };
}

/** Answers on their way out. */
class AnswerFrames {
  readonly #call: ServerWritableStream<CallRequest, Buffer>;
  #left: number;
  #ready: BundledAnswer[] = [];

  constructor(call: ServerWritableStream<CallRequest, Buffer>, count: number) {
    this.#call = call;
    this.#left = count;
    if (count === 0) call.end();
  }

  add(answer: BundledAnswer): void {
    if (this.#ready.push(answer) === 1) setImmediate(() => this.#write());
  }

  #write(): void {
    const answers = this.#ready;
    this.#ready = [];
    this.#left -= answers.length;
    if (this.#call.cancelled) return;
    this.#call.write(Buffer.from(CallResponse.encode({ answers }).finish()));
    if (this.#left === 0) this.#call.end();
  }
}
