// Deletes idempotency records whose 24 hours are over.
import type { Database } from '@maildoot/db/database';
import { keepExpiring } from '@maildoot/db/idempotency-expiry';
import type { Clock } from '@maildoot/runtime/clock';
import type { Telemetry } from '../telemetry.ts';

export function startIdempotencyExpiry(parts: { database: Database; clock: Clock; telemetry: Telemetry }): AsyncDisposable {
  const { database, clock, telemetry } = parts;
  return keepExpiring({
    pool: database.pool,
    clock,
    onExpired: (records) => telemetry.idempotencyExpired(records),
    onFailure: (error) => telemetry.jobFailed('idempotency-expiry', error),
  });
}
