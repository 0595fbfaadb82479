// What goes wrong with the embedded PostgreSQL is told in one line that says what to do; `code` is for programs.
export type EmbeddedPostgresErrorCode =
  | 'UNSUPPORTED_PLATFORM'
  | 'BINARY_MISSING'
  | 'DIRECTORY_IN_USE'
  | 'DIRECTORY_NOT_USABLE'
  | 'USER_NOT_POSSIBLE'
  | 'DISK_FULL'
  | 'NO_FREE_PORT'
  | 'INITDB_FAILED'
  | 'START_FAILED';

export class EmbeddedPostgresError extends Error {
  readonly code: EmbeddedPostgresErrorCode;

  constructor(code: EmbeddedPostgresErrorCode, message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\s*\n\s*/g, ' '), options);
    this.name = 'EmbeddedPostgresError';
    this.code = code;
  }
}

/** A full disk and a directory without permission look the same wherever they happen; everything else keeps its own words. */
export function explain(error: unknown, code: EmbeddedPostgresErrorCode, directory: string, doing: string): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const errno = error instanceof Error && 'code' in error ? error.code : undefined;
  if (errno === 'ENOSPC' || errno === 'EDQUOT' || /No space left on device|Disk quota exceeded/i.test(text)) {
    return new EmbeddedPostgresError(
      'DISK_FULL',
      `embedded PostgreSQL: no space left for ${directory} while ${doing}: free some (a new database takes 100 MB) and start again`,
      { cause: error },
    );
  }
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS' || errno === 'ENOTDIR') {
    return new EmbeddedPostgresError(
      'DIRECTORY_NOT_USABLE',
      `embedded PostgreSQL: ${directory} can't be used (${text}) while ${doing}: give this user write access or choose another directory`,
      { cause: error },
    );
  }
  return new EmbeddedPostgresError(code, `embedded PostgreSQL: ${doing} failed: ${text}`, { cause: error });
}
