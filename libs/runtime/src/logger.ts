/**
 * Logs: pino, one JSON object per line. Credentials and message content never get out: fields are dropped by name at any depth,
 * buffers are shown by size only, and errors are reduced to the fields known to be safe (a PostgreSQL error carries the row's values
 * in `detail`). The list is the safety net; nobody should log content in the first place.
 */
import { trace } from '@opentelemetry/api';
import { type Bindings, type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

export type Logger = PinoLogger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const REDACTED = '[redacted]';

// Compared in lower case without `_` and `-`.
const FORBIDDEN = new Set(
  (
    'authorization proxyauthorization cookie setcookie key apikey privatekey sealkeys pem password passwd passphrase secret token jwt credential ' +
    'credentials html text content contents attachment attachments body mime raw subject headers header variables metadata databaseurl dsn'
  ).split(' '),
);
const FORBIDDEN_ENDS = ['secret', 'password', 'token', 'authorization', 'apikey', 'privatekey'];

// What an error may show beside its message and stack.
const ERROR_FIELDS = [
  'code',
  'status',
  'retryable',
  'errno',
  'syscall',
  'address',
  'port',
  'hostname',
  'host',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'routine',
  'command',
  'responseCode',
];

const MAX_DEPTH = 6;
const MAX_ITEMS = 100;

// Credentials that slipped into a text: our keys, bearer tokens, passwords in URLs.
const CREDENTIALS = /\b(mdsk_(?:test_)?|pat_|whsec_|Bearer )[A-Za-z0-9._~+/=-]{8,}|(:\/\/[^\s/:@"\\]+:)[^\s/@"\\]+(?=@)/g;

export function createLogger(options: { service: string; level?: LogLevel; destination?: DestinationStream }): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: { service: options.service },
    timestamp: stdTimeFunctions.isoTime,
    // `err` goes through `formatters.log` like all the rest; pino's own serializer would put every field of an error into the line.
    serializers: { err: (value: unknown) => value },
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (fields: Record<string, unknown>) => scrubFields(fields, 0),
    },
    mixin: traceFields,
    hooks: { streamWrite: maskCredentials },
  };
  const logger = options.destination ? pino(settings, options.destination) : pino(settings);
  // pino gives the bindings of children to no formatter; children inherit this method.
  const makeChild: (this: Logger, bindings: Bindings, options?: object) => unknown = logger.child;
  const cleanChild = function (this: Logger, bindings: Bindings, childOptions?: object): unknown {
    return makeChild.call(this, scrubFields(bindings, 0), childOptions);
  };
  return Object.assign(logger, { child: cleanChild }) as Logger;
}

/** Whether a field of that name may hold what nobody should read in a log. */
function isForbiddenField(name: string): boolean {
  const plain = name.toLowerCase().replace(/[_-]/g, '');
  return FORBIDDEN.has(plain) || FORBIDDEN_ENDS.some((end) => plain.endsWith(end));
}

/** Masks credentials inside a text. */
export function maskCredentials(text: string): string {
  return text.replace(
    CREDENTIALS,
    (_, prefix: string | undefined, userinfo: string | undefined) => `${prefix ?? userinfo ?? ''}${REDACTED}`,
  );
}

function traceFields(): Record<string, string> {
  const span = trace.getActiveSpan();
  if (!span) return {};
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

function scrubFields(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    clean[name] = value !== undefined && isForbiddenField(name) ? REDACTED : scrub(value, depth);
  }
  return clean;
}

function scrub(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value;
  if (value instanceof Error) return describeError(value, depth);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return '[deeper]';
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map((item) => scrub(item, depth + 1));
    if (value.length > MAX_ITEMS) items.push(`… ${value.length - MAX_ITEMS} more`);
    return items;
  }
  return scrubFields(value as Record<string, unknown>, depth + 1);
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const described: Record<string, unknown> = { type: error.name, message: error.message, stack: error.stack };
  const fields = error as unknown as Record<string, unknown>;
  for (const name of ERROR_FIELDS) {
    const value = fields[name];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') described[name] = value;
  }
  if (depth < MAX_DEPTH && error.cause !== undefined) described.cause = scrub(error.cause, depth + 1);
  if (depth < MAX_DEPTH && error instanceof AggregateError) described.errors = error.errors.map((one) => scrub(one, depth + 1));
  return described;
}
