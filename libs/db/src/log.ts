// The part of a logger that this library writes to; the pino logger of @maildoot/runtime fits it, and so does a test's own.
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };
