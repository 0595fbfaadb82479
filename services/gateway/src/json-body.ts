// Bytes → JSON value. Stricter than JSON.parse alone: the bytes must be UTF-8 (RFC 8259 section 8.1), and nesting and the number of values
// are limited before anything is parsed: sixty megabytes of `{},` are gigabytes of objects, and V8 ends the whole process when JSON.parse
// runs out of memory, in a worker with limits too.
import { isUtf8 } from 'node:buffer';
import { ApiError } from './errors.ts';

/** Nothing that we accept is nested deeper than 6. */
export const maxDepth = 32;
/** A batch of 1,000 messages to 600 named recipients each has fewer. */
export const maxValues = 2_000_000;

/** @throws ApiError INVALID_JSON */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) throw invalid('The body is empty. Send a JSON object.');
  if (!isUtf8(bytes)) throw invalid('The body is not valid UTF-8.');
  const problem = shapeProblem(bytes);
  if (problem !== undefined) throw invalid(problem);
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  try {
    return JSON.parse(bytes.toString('utf8', start));
  } catch (error) {
    throw invalid(`The body is not valid JSON${placeOf(error, bytes)}.`);
  }
}

function invalid(message: string): ApiError {
  return new ApiError('INVALID_JSON', message);
}

/** The place only: V8's own message repeats the text around it, which may be anybody's secret. */
function placeOf(error: unknown, bytes: Buffer): string {
  const match = /at position (\d+)/.exec(error instanceof Error ? error.message : '');
  if (!match) return error instanceof Error && /end of JSON/.test(error.message) ? ': it ends too early' : '';
  // V8 counts UTF-16 units; a line is counted in bytes all the same.
  const before = bytes.toString('utf8').slice(0, Number(match[1]));
  const line = before.split('\n').length;
  return ` at line ${line}, column ${before.length - before.lastIndexOf('\n')}`;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One pass over what stands outside strings. Every value but the first of a list or object has a comma before it. */
function shapeProblem(bytes: Buffer): string | undefined {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
      if (at === -1) return undefined;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > maxDepth) return `The body is nested deeper than ${maxDepth} levels.`;
      values++;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (byte === 0x2c) values++;
  }
  return values > maxValues ? `The body has more than ${maxValues} values.` : undefined;
}

/** The place of the quote that ends the string which `from` begins; -1 when there is none. Long strings are skipped at memory speed. */
function endOfString(bytes: Buffer, from: number): number {
  for (let end = bytes.indexOf(QUOTE, from + 1); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (bytes[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}
