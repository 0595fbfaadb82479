// Reading a request's body: declared as JSON, within its limit, within what the process holds at one time. Everything is refused as early
// as it can be known, and whoever sends on is listened to for a moment, so that the refusal isn't lost in a reset of the connection.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './errors.ts';

/** The client went away before its request was complete. There is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

export function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] !== undefined && headers['content-length'] !== '0');
}

/** @throws ApiError UNSUPPORTED_MEDIA_TYPE */
export function requireJson(headers: IncomingHttpHeaders): void {
  const contentType = headers['content-type'];
  if (contentType === undefined) throw unsupported('The body has no Content-Type. Send Content-Type: application/json.');
  const [type = '', ...parameters] = contentType.split(';').map((part) => part.trim().toLowerCase());
  if (type !== 'application/json') throw unsupported('The body must be JSON. Send Content-Type: application/json.');
  for (const parameter of parameters) {
    const charset = /^charset\s*=\s*"?([^"]*)"?$/.exec(parameter)?.[1];
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw unsupported('The body must be in UTF-8.');
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity')
    throw unsupported('Bodies with a content encoding are not supported. Send it as it is.');
}

function unsupported(message: string): ApiError {
  return new ApiError('UNSUPPORTED_MEDIA_TYPE', message);
}

/** A body up to this size is small: it finds room where a large one doesn't. */
const SMALL_BYTES = 1024 * 1024;
/** The largest body there is; whoever may send one at all must be able to. */
const LARGEST_BYTES = 60 * 1024 * 1024;

/**
 * How many bytes of bodies the process holds, from their arrival to the end of their request. Only what has come counts: a length that is
 * merely declared would let anybody take all the room with a few idle connections. One holder gets half of it at most, and the last
 * eighth is for small bodies.
 */
export class BodyBudget {
  readonly #limitBytes: number;
  readonly #byHolder = new Map<string, number>();
  #heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @param holder whose request it is: a tenant */
  open(holder: string): BodyShare {
    let bytes = 0;
    const hasRoom = (more: number): boolean => {
      if (bytes + more <= SMALL_BYTES) return this.#heldBytes + more <= this.#limitBytes;
      const mine = (this.#byHolder.get(holder) ?? 0) + more;
      // However little there is in all, a largest body alone fits.
      const roof = Math.max(this.#limitBytes * (7 / 8), Math.min(this.#limitBytes, LARGEST_BYTES + SMALL_BYTES));
      return this.#heldBytes + more <= roof && mine <= Math.max(this.#limitBytes / 2, LARGEST_BYTES + SMALL_BYTES);
    };
    const add = (more: number): void => {
      bytes += more;
      this.#heldBytes += more;
      const mine = (this.#byHolder.get(holder) ?? 0) + more;
      if (mine === 0) this.#byHolder.delete(holder);
      else this.#byHolder.set(holder, mine);
    };
    return {
      hasRoom,
      take(more) {
        if (!hasRoom(more)) return false;
        add(more);
        return true;
      },
      [Symbol.dispose]: () => add(-bytes),
    };
  }
}

/** One request's part of the budget, given back when it is disposed of. */
export interface BodyShare extends Disposable {
  /** Whether so many more would fit right now. */
  hasRoom(bytes: number): boolean;
  /** False: there is no room for so many more at the moment. */
  take(bytes: number): boolean;
}

/** The whole body in memory of its own. @throws ApiError PAYLOAD_TOO_LARGE, UNAVAILABLE @throws ClientGone */
export async function readBody(request: IncomingMessage, response: ServerResponse, share: BodyShare, maxBytes: number): Promise<Buffer> {
  const { headers } = request;
  const declared = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  if (declared !== undefined && declared > maxBytes) throw tooLarge(maxBytes);
  if (declared !== undefined && !share.hasRoom(declared)) throw noRoom();
  // Whoever asked first whether to send the body is told so only now that nothing speaks against it.
  if (headers.expect?.toLowerCase() === '100-continue') response.writeContinue();
  return declared === undefined ? readChunks(request, share, maxBytes) : readDeclared(request, share, declared);
}

async function readDeclared(request: IncomingMessage, share: BodyShare, declared: number): Promise<Buffer> {
  // Not from the shared pool: the memory may be moved to a worker.
  const body = Buffer.allocUnsafeSlow(declared);
  let used = 0;
  await eachChunk(request, (chunk) => {
    if (!share.take(chunk.length)) return noRoom();
    // The HTTP parser ends the body at the declared length.
    used += chunk.copy(body, used);
    return undefined;
  });
  return body;
}

async function readChunks(request: IncomingMessage, share: BodyShare, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  await eachChunk(request, (chunk) => {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) return tooLarge(maxBytes);
    if (!share.take(chunk.length)) return noRoom();
    chunks.push(chunk);
    return undefined;
  });
  const body = Buffer.allocUnsafeSlow(sizeBytes);
  let used = 0;
  for (const chunk of chunks) used += chunk.copy(body, used);
  return body;
}

function eachChunk(request: IncomingMessage, take: (chunk: Buffer) => ApiError | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      // A late error of the socket must find somebody.
      request.on('error', () => undefined);
      if (error) {
        request.pause();
        reject(error);
      } else resolve();
    };
    const onData = (chunk: Buffer): void => {
      const problem = take(chunk);
      if (problem) settle(problem);
    };
    const onEnd = (): void => settle();
    const onClose = (): void => settle(new ClientGone('the client closed the connection while it was sending'));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
    if (request.destroyed && !request.readableEnded) onClose();
  });
}

function tooLarge(maxBytes: number): ApiError {
  const limit = maxBytes >= 1024 * 1024 ? `${maxBytes / 1024 / 1024} MB` : `${maxBytes / 1024} KB`;
  return new ApiError('PAYLOAD_TOO_LARGE', `The body of this request may have at most ${limit}.`);
}

function noRoom(): ApiError {
  return new ApiError('UNAVAILABLE', 'Too many large requests are being read at the moment. Send it again after Retry-After.');
}

const lingerMs = 2000;

/**
 * After an answer to a request whose body isn't read: takes in and drops what still comes, for a moment, before the connection closes.
 * Closing at once would make the client's machine throw the answer away (RFC 9112 section 9.6).
 */
export function endAfterRest(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(timer);
    request.off('end', end).off('close', end);
    response.end();
  };
  const timer = setTimeout(end, lingerMs);
  request.on('end', end).on('close', end);
  request.resume();
}
