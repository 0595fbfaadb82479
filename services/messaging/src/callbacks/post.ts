// One webhook over the wire: a connection to the very address that was checked, a POST, the status of the answer. Redirects are not
// followed: they would lead past the check, and carry what was signed for one receiver to another.
import { type IncomingMessage, request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { GuardedConnectError, guardedConnect } from '@maildoot/runtime/guarded-connect';
import { hostOf, type Outside, portOf } from './endpoint.ts';

/** How much of an answer is kept, for the owner to read. */
const detailChars = 500;
const answerBytes = 4_096;
/** The status has come: what follows it is waited for this long. */
const answerMs = 1_000;

export interface Posted {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface PostResult {
  outcome: CallbackOutcome;
  /** 0 = no answer. */
  httpStatus: number;
  /** The beginning of the answer, or what went wrong. */
  detail: string;
  retryAfter: string | undefined;
}

/** Never rejects but with the signal's reason. */
export async function post(posted: Posted, outside: Outside): Promise<PostResult> {
  const timeout = AbortSignal.timeout(posted.timeoutMs);
  const both = AbortSignal.any([posted.signal, timeout]);
  let socket: Socket | undefined;
  try {
    const url = new URL(posted.url);
    const endsAtMs = performance.now() + posted.timeoutMs;
    ({ socket } = await guardedConnect({
      host: hostOf(url),
      port: portOf(url),
      ...outside,
      timeoutMs: posted.timeoutMs,
      signal: posted.signal,
    }));
    if (url.protocol === 'https:') socket = await secured(socket, hostOf(url), both);
    return await exchange(socket, url, posted, both, Math.max(1, endsAtMs - performance.now()));
  } catch (error) {
    posted.signal.throwIfAborted();
    if (timeout.aborted) return failed(CallbackOutcome.CALLBACK_OUTCOME_TIMED_OUT, `no answer within ${posted.timeoutMs / 1000} s`);
    return failureOf(error);
  } finally {
    socket?.destroy();
  }
}

class TlsFailure extends Error {}

async function secured(socket: Socket, host: string, signal: AbortSignal): Promise<Socket> {
  // Before there is anything that could fail later, with nobody listening.
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const tls = connectTls({ socket, ALPNProtocols: ['http/1.1'], ...(isIP(host) === 0 ? { servername: host } : { host }) });
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  tls.once('secureConnect', resolve);
  // Stays: a socket that fails later is the request's to report.
  tls.on('error', (error) => reject(new TlsFailure(error.message, { cause: error })));
  tls.once('close', () => reject(new TlsFailure('the connection was closed during the handshake')));
  try {
    await promise;
    return tls;
  } catch (error) {
    tls.destroy();
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function exchange(socket: Socket, url: URL, { headers, body }: Posted, signal: AbortSignal, leftMs: number): Promise<PostResult> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request({
    createConnection: () => socket,
    method: 'POST',
    path: `${url.pathname}${url.search}`,
    headers: {
      Host: url.host,
      'User-Agent': 'Maildoot-Webhooks/1.0',
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': String(body.byteLength),
      Connection: 'close',
      ...headers,
    },
    signal,
  });
  sent.on('response', resolve);
  sent.on('error', reject);
  sent.end(body);
  const answer = await promise;
  const status = answer.statusCode ?? 0;
  const text = await beginningOf(answer, Math.min(answerMs, leftMs));
  return {
    outcome: outcomeOf(status),
    httpStatus: status,
    detail: shown(status >= 300 && status < 400 ? `redirects to ${answer.headers.location ?? 'nowhere'}` : text),
    retryAfter: answer.headers['retry-after'],
  };
}

function outcomeOf(status: number): CallbackOutcome {
  if (status >= 200 && status < 300) return CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED;
  if (status >= 300 && status < 400) return CallbackOutcome.CALLBACK_OUTCOME_REDIRECTED;
  return CallbackOutcome.CALLBACK_OUTCOME_REFUSED;
}

/** What comes of the body in time; how it ends changes nothing any more. */
async function beginningOf(answer: IncomingMessage, withinMs: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const timer = setTimeout(resolve, withinMs);
  answer.on('data', (chunk: Buffer) => {
    chunks.push(chunk.subarray(0, answerBytes - bytes));
    bytes += chunk.length;
    if (bytes >= answerBytes) resolve();
  });
  answer.once('end', resolve);
  answer.once('close', resolve);
  answer.on('error', () => resolve());
  await promise;
  clearTimeout(timer);
  return Buffer.concat(chunks).toString('utf8');
}

function failureOf(error: unknown): PostResult {
  const { CALLBACK_OUTCOME_CONNECTION_FAILED: connection, CALLBACK_OUTCOME_DNS_FAILED: dns } = CallbackOutcome;
  if (error instanceof TlsFailure) return failed(CallbackOutcome.CALLBACK_OUTCOME_TLS_FAILED, error.message);
  if (!(error instanceof GuardedConnectError)) return failed(connection, error instanceof Error ? error.message : String(error));
  const outcomes = {
    ADDRESS_REFUSED: CallbackOutcome.CALLBACK_OUTCOME_ADDRESS_REFUSED,
    NO_ADDRESS: dns,
    DNS_FAILED: dns,
    CONNECT_FAILED: connection,
    TIMEOUT: CallbackOutcome.CALLBACK_OUTCOME_TIMED_OUT,
  } as const;
  return failed(outcomes[error.code], error.message);
}

function failed(outcome: CallbackOutcome, detail: string): PostResult {
  return { outcome, httpStatus: 0, detail: shown(detail), retryAfter: undefined };
}

// PostgreSQL takes no NUL in a text, and nobody reads other controls.
function shown(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, detailChars);
}
