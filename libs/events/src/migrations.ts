// Where this library's own migrations are. A service that appends events passes `outboxMigrations` to `migrate` beside its own.
import { fileURLToPath } from 'node:url';

export const outboxMigrations = fileURLToPath(new URL('../migrations', import.meta.url));

/** Applied by the PostgreSQL log itself, to its schema `event_log`. */
export const logMigrations = fileURLToPath(new URL('../log-migrations', import.meta.url));
