// Where this library's own migrations are: a service that uses idempotency records passes them to `migrate` beside its own.
import { fileURLToPath } from 'node:url';

export const dbMigrations = fileURLToPath(new URL('../migrations', import.meta.url));
