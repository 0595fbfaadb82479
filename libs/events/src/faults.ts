// Whose fault a failed call of a handler is. Parking takes an accepted message out of the line until somebody looks, so a record is blamed
// only for what is certainly about it; whatever else the database, the network or the machine says is waited for.
import { isTransientError, sqlState, TransactionAborted } from '@maildoot/db/errors';
import { RecordTooLargeError } from './outbox.ts';

/**
 * data: the record can't be handled as it is · handler: a bug, as far as can be told, met by this record · elsewhere: everything around it.
 */
export type Fault = 'data' | 'handler' | 'elsewhere';

export function faultOf(error: unknown): Fault {
  // Before the rest: a lost connection is no fault of the record, whatever was under way.
  if (isTransientError(error)) return 'elsewhere';
  const state = sqlState(error);
  if (state !== undefined) return isAboutData(state) ? 'data' : 'elsewhere';
  const links = [...chain(error)];
  if (links.some(blamesRecord)) return 'data';
  return links.some(isFromElsewhere) ? 'elsewhere' : 'handler';
}

/**
 * 22 data exception · 23 integrity constraint violation, but for 23514: that is also what a missing partition says, and a check that
 * a migration got wrong. All others are about the server, its schema, our rights or our statement: they hit every record alike.
 */
function isAboutData(state: string): boolean {
  return state.startsWith('22') || (state.startsWith('23') && state !== '23514');
}

/** Ours, of whichever copy of this library; and an RPC that was refused for its request, which is made from the record. */
function blamesRecord(link: Link): boolean {
  if (link instanceof RecordTooLargeError || link.name === 'UnreadableEvent') return true;
  return link.status === 'INVALID_ARGUMENT' && link.retryable === false;
}

// Of Node's own argument checks, and of its zlib: they say that a call was wrong, not that something is missing.
const ofACall = /^(ERR_|Z_|ZSTD_)/;
// Without a SQLSTATE inside: the client could not ask, or could not read the answer. PrismaClientValidationError is a wrong call.
const ofPrisma = /^PrismaClient(Initialization|KnownRequest|UnknownRequest|RustPanic)Error$/;

function isFromElsewhere(link: Link): boolean {
  if (link instanceof TransactionAborted) return true;
  const { code, name } = link;
  // Errors of RPC, of the system (ENOSPC, EMFILE), of drivers.
  if (typeof code === 'string' && !ofACall.test(code)) return true;
  return typeof name === 'string' && (name === 'AbortError' || name === 'TimeoutError' || ofPrisma.test(name));
}

type Link = Record<string, unknown>;

/** The error, its causes, and what an AggregateError holds. */
function* chain(error: unknown): Generator<Link> {
  const seen = new Set<unknown>();
  const waiting: unknown[] = [error];
  while (waiting.length > 0) {
    const link = waiting.shift();
    if (typeof link !== 'object' || link === null || seen.has(link)) continue;
    seen.add(link);
    yield link as Link;
    waiting.push((link as Link).cause);
    if (link instanceof AggregateError) waiting.push(...link.errors);
  }
}
