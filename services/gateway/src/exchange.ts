// One request and its answer: the id, the head that every answer has, the bytes, and what is reported at the end.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { newId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import type { Span } from '@opentelemetry/api';
import type { Principal } from './authentication.ts';
import { type ApiError, errorBody } from './errors.ts';
import { type BodyShare, endAfterRest, hasBody } from './request-body.ts';
import type { Answer, Content } from './route.ts';
import { telemetry } from './telemetry.ts';

type StreamContent = Extract<Content, { stream: unknown }>;

/** Bodies up to this size are taken in to the end after a refusal, so that the connection can be used again. */
const cheapRestBytes = 64 * 1024;
const clientGoneStatus = 499;

export interface ExchangeOptions {
  readonly logger: Logger;
  readonly publicUrl: string;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

export class Exchange {
  readonly requestId = newId('req');
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly #options: ExchangeOptions;
  readonly #startedAtMs = performance.now();
  #route = 'unknown';
  #span: Span | undefined;
  #errorCode: string | undefined;
  #cause: unknown;
  #share: BodyShare | undefined;
  #abort: AbortController | undefined;
  principal: Principal | undefined;
  /** What every answer of a deprecated operation says. */
  deprecationHeaders: Readonly<Record<string, string>> | undefined;
  /** What every answer says to a page of an origin that is allowed. */
  corsHeaders: Readonly<Record<string, string>> | undefined;
  /** What the answer says about limits. */
  limitHeaders: Readonly<Record<string, string>> | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.request = request;
    this.response = response;
    this.#options = options;
    response.once('close', () => this.#closed());
  }

  set route(path: string) {
    this.#route = path;
  }

  set span(span: Span) {
    this.#span = span;
  }

  /** Held until the answer is out: what was read lives on in it. */
  holdBody(share: BodyShare): BodyShare {
    this.#share = share;
    return share;
  }

  /** Made for those who ask: most requests are over before anybody could give up. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.response.closed) this.#abort.abort();
    return AbortSignal.any([this.#abort.signal, this.#options.stopping]);
  }

  async answer({ status, headers, content }: Answer): Promise<void> {
    if (content === undefined) return this.#send(status, { ...headers });
    if ('stream' in content) return this.#sendStream(status, { 'Content-Type': content.contentType, ...headers }, content);
    if ('json' in content)
      return this.#send(status, { 'Content-Type': 'application/json; charset=utf-8', ...headers }, JSON.stringify(content.json));
    return this.#send(status, { 'Content-Type': content.contentType, ...headers }, 'text' in content ? content.text : content.bytes);
  }

  answerError(error: ApiError): void {
    this.#errorCode = error.code;
    this.#cause = error.cause;
    // Half an answer is out: all that can still be said is that it isn't whole.
    if (this.response.headersSent) {
      this.response.destroy();
      return;
    }
    const body = JSON.stringify(errorBody(error, this.requestId, this.#options.publicUrl));
    const headers = { 'Content-Type': 'application/json; charset=utf-8', ...error.headers };
    if (!this.#hasUnreadBody()) {
      this.#send(error.status, headers, body);
      return;
    }
    this.#writeHead(error.status, { ...headers, Connection: 'close' }, Buffer.byteLength(body));
    this.response.write(body);
    // Whoever asked for leave to send and didn't get it sends nothing more.
    if (this.request.headers.expect === undefined) endAfterRest(this.request, this.response);
    else this.response.end();
  }

  #hasUnreadBody(): boolean {
    const { request } = this;
    if (request.complete || request.destroyed || !hasBody(request.headers)) return false;
    const declared = request.headers['content-length'];
    return request.headers.expect !== undefined || declared === undefined || Number(declared) > cheapRestBytes;
  }

  /** Text goes out as text: Node then sends head and body in one write. */
  #send(status: number, headers: Record<string, string>, body?: string | Uint8Array): void {
    this.#writeHead(status, headers, status === 204 ? undefined : Buffer.byteLength(body ?? ''));
    if (body === undefined || this.request.method === 'HEAD') this.response.end();
    else this.response.end(body);
  }

  async #sendStream(status: number, headers: Record<string, string>, { stream, stalledAfterMs }: StreamContent): Promise<void> {
    this.#writeHead(status, headers, undefined);
    const { response } = this;
    for await (const bytes of stream) {
      // HEAD needs the first piece all the same: leaving the loop tells the source that nobody wants the rest.
      if (this.request.method === 'HEAD' || response.destroyed) break;
      if (!response.write(bytes)) await untilWritable(response, stalledAfterMs);
    }
    response.end();
  }

  #writeHead(status: number, headers: Record<string, string>, lengthBytes: number | undefined): void {
    const head: Record<string, string | number> = {
      'X-Request-Id': this.requestId,
      ...alwaysSent,
      ...this.corsHeaders,
      ...this.deprecationHeaders,
      ...this.limitHeaders,
      ...headers,
    };
    if (lengthBytes !== undefined) head['Content-Length'] = lengthBytes;
    if (this.#options.publicUrl.startsWith('https:')) head['Strict-Transport-Security'] = 'max-age=31536000';
    if (this.#options.stopping.aborted) head.Connection = 'close';
    this.response.writeHead(status, head);
  }

  #closed(): void {
    this.#share?.[Symbol.dispose]();
    const { response } = this;
    if (!response.writableFinished) this.#abort?.abort();
    telemetry.requestEnded(this.#options.logger, this.#span, {
      requestId: this.requestId,
      method: this.request.method ?? '',
      route: this.#route,
      status: response.headersSent ? response.statusCode : clientGoneStatus,
      errorCode: this.#errorCode,
      durationMs: performance.now() - this.#startedAtMs,
      tenantId: this.principal?.tenantId,
      apiKeyId: this.principal?.credentialId,
      cause: this.#cause,
    });
  }
}

/** Until the network has taken what was written, or will never take it. Whoever reads nothing of it for too long is cut off. */
function untilWritable(response: ServerResponse, stalledAfterMs: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = stalledAfterMs === undefined ? undefined : setTimeout(() => response.destroy(), stalledAfterMs);
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
    if (response.destroyed) done();
  });
}

/** Nothing of an answer may be kept, guessed at, framed or run; pages say more precisely what theirs may. */
const alwaysSent = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
} as const;
