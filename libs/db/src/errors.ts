// What kind of trouble the database has, for errors of pg and of Prisma (which wraps pg's in a cause or in meta.driverAdapterError).
// Services map connection errors to UNAVAILABLE and never show a database's words to anybody.

/** The connection was lost while COMMIT was under way: the transaction may or may not have happened. Look before answering. */
export class CommitOutcomeUnknown extends Error {
  constructor(options?: ErrorOptions) {
    super('the connection was lost during COMMIT, its outcome is unknown', options);
    this.name = 'CommitOutcomeUnknown';
  }
}

/** The server takes connections and questions and answers none of them. Nothing was asked of it. */
export class DatabaseSilent extends Error {
  constructor() {
    super('the database does not answer');
    this.name = 'DatabaseSilent';
  }
}

/** COMMIT answered ROLLBACK: a statement had failed and the failure was swallowed. Nothing was written. */
export class TransactionAborted extends Error {
  constructor() {
    super('the transaction was rolled back by COMMIT: a statement in it had failed and its error was not passed on');
    this.name = 'TransactionAborted';
  }
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const sqlStates = {
  uniqueViolation: '23505',
  foreignKeyViolation: '23503',
  checkViolation: '23514',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  lockNotAvailable: '55P03',
  queryCancelled: '57014',
  duplicateTable: '42P07',
  invalidText: '22021',
} as const;

/** The five characters of the first error in the chain that has them. */
export function sqlState(error: unknown): string | undefined {
  for (const link of chain(error)) {
    for (const name of ['code', 'originalCode'] as const) {
      const value = link[name];
      // `severity` comes with every error of the server, so that EPIPE and P2002 (five characters too) are no SQLSTATEs.
      if (typeof value === 'string' && /^[0-9A-Z]{5}$/.test(value) && (name === 'originalCode' || 'severity' in link)) return value;
    }
  }
  return undefined;
}

/** The violated constraint's or index' name, if the server said it. */
export function violatedConstraint(error: unknown): string | undefined {
  for (const link of chain(error)) {
    const { constraint } = link;
    if (typeof constraint === 'string') return constraint;
    if (isRecord(constraint) && typeof constraint.index === 'string') return constraint.index;
  }
  return undefined;
}

export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return sqlState(error) === sqlStates.uniqueViolation && (constraint === undefined || violatedConstraint(error) === constraint);
}

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);

/** Prisma: can't reach, timed out, closed, pool exhausted, transaction could not start. */
const prismaCodes = new Set(['P1001', 'P1002', 'P1008', 'P1011', 'P1017', 'P2024', 'P2037']);
const adapterKinds = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TlsConnectionError', 'TooManyConnections']);

/** pg and pg-pool give these no code. */
const pgMessages = [
  /^Connection terminated/,
  /^timeout exceeded when trying to connect$/,
  /^timeout expired$/,
  /^Query read timeout$/,
  /^Client has encountered a connection error and is not queryable$/,
  /^Client was closed and is not queryable$/,
  /^Cannot use a pool after calling end on the pool$/,
];

/** The database can't be reached, threw us out, is starting, stopping, full, or is a standby: the same statement may work on a new connection later. */
export function isConnectionError(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) {
    // 08 connection exception · 57P01–57P05 shutting down, crashed, starting, dropped, idle · 53 no memory, disk or connections left ·
    // 25006 read only: we talk to a primary that was demoted · 25P03 thrown out for idling in a transaction
    return state.startsWith('08') || state.startsWith('57P') || state.startsWith('53') || state === '25006' || state === '25P03';
  }
  for (const link of chain(error)) {
    if (link instanceof CommitOutcomeUnknown || link instanceof DatabaseSilent) return true;
    for (const code of [link.code, link.errorCode]) {
      if (typeof code === 'string' && (networkCodes.has(code) || prismaCodes.has(code))) return true;
    }
    // The unix socket of a server that isn't there; any other missing file is not ours.
    if (link.code === 'ENOENT' && link.syscall === 'connect') return true;
    if (typeof link.kind === 'string' && adapterKinds.has(link.kind)) return true;
    const { message } = link;
    if (typeof message === 'string' && pgMessages.some((pattern) => pattern.test(message))) return true;
  }
  return false;
}

/** A connection error, or two transactions got into each other's way: the whole transaction may be tried again. */
export function isTransientError(error: unknown): boolean {
  if (isConnectionError(error)) return true;
  const state = sqlState(error);
  return (
    state === sqlStates.serializationFailure ||
    state === sqlStates.deadlockDetected ||
    state === sqlStates.lockNotAvailable ||
    state === sqlStates.queryCancelled
  );
}

type Link = Record<string, unknown>;

function* chain(error: unknown): Generator<Link> {
  const seen = new Set<unknown>();
  const waiting: unknown[] = [error];
  while (waiting.length > 0) {
    const link = waiting.shift();
    if (!isRecord(link) || seen.has(link)) continue;
    seen.add(link);
    yield link;
    waiting.push(link.cause);
    if (isRecord(link.meta)) waiting.push(link.meta.driverAdapterError);
    // Happy eyeballs: several addresses, all refused.
    if (link instanceof AggregateError) waiting.push(...link.errors);
  }
}

function isRecord(value: unknown): value is Link {
  return typeof value === 'object' && value !== null;
}
