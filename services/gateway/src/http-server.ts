// The HTTP server around the app: limits in time for slow senders, the one error shape for what isn't even a request, and an end that
// lets running requests finish.
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { newId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import { ApiError, errorBody } from './errors.ts';
import { telemetry } from './telemetry.ts';

/** From the first byte of a request to the end of its headers. */
const headersTimeoutMs = 10_000;
/** From the first byte of a request to the last of its body: 60 MB at 2 Mbit/s. */
const requestTimeoutMs = 300_000;
const checkTimeoutsEveryMs = 1000;
/** Longer than load balancers keep idle connections (60 s), so that it is them who close. */
const keepAliveTimeoutMs = 65_000;
/** A connection on which nothing moves in either direction; longer than the longest wait that a request may ask for. */
const silenceTimeoutMs = 120_000;
const drainTimeoutMs = 20_000;

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  readonly publicUrl: () => string;
}

export interface HttpServer {
  /** Where it listens: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Takes no new connections; done when the running requests are, or when their time is over. */
  drain(): Promise<void>;
}

export async function startHttpServer(listener: RequestListener, options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: checkTimeoutsEveryMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // Asked for by the app, in the one error shape.
    requireHostHeader: false,
    noDelay: true,
  });
  server.setTimeout(silenceTimeoutMs);
  server.on('request', listener);
  // Leave to send is given when the body is wanted, after all that can be checked without it.
  server.on('checkContinue', listener);
  // RFC 9110 section 10.1.1: an expectation that we don't know may be ignored.
  server.on('checkExpectation', listener);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseBroken(error, socket, options));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await listen(server, options);
  const url = urlOf(server, options.host);
  telemetry.listening(options.logger, url);
  return { url, drain: () => drain(server, sockets, options.logger) };
}

/** HTTP that the parser gave up on: answered in the same shape as everything else, as far as somebody can be answered. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket, { logger, publicUrl }: HttpServerOptions): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const problem = problemOf(error);
  telemetry.brokenRequest(logger, error.code ?? 'unknown');
  const requestId = newId('req');
  const body = JSON.stringify(errorBody(problem, requestId, publicUrl()));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function problemOf(error: NodeJS.ErrnoException): ApiError {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new ApiError('PAYLOAD_TOO_LARGE', 'The address and the headers together may have at most 16 KB.');
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new ApiError('REQUEST_TIMEOUT', 'The request did not arrive in time.');
  return new ApiError('VALIDATION_ERROR', 'This is not a well-formed HTTP request.');
}

function listen(server: Server, { host, port }: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is in use: set HTTP_PORT to another one, or to 0 for a free one' : error.message;
      reject(new Error(`HTTP_PORT: cannot listen on ${host}:${port}: ${why}`, { cause: error }));
    });
    server.listen(port, host, () => resolve());
  });
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function drain(server: Server, sockets: ReadonlySet<Socket>, logger: Logger): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // Opened ahead of need, as browsers and pools do: Node doesn't count them as idle, and would wait for their first request.
  for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  const timer = setTimeout(() => {
    server.getConnections((_, count) => telemetry.stopTimedOut(logger, count));
    server.closeAllConnections();
  }, drainTimeoutMs);
  await closed;
  clearTimeout(timer);
}
