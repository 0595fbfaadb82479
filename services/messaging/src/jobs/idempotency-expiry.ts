// Deletes idempotency records whose 24 hours are over.
import type { Database } from '@maildoot/db/database';
import { expire } from '@maildoot/db/idempotency';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import type { Telemetry } from '../telemetry.ts';

const everyMs = 10 * 60_000;

export function startIdempotencyExpiry(parts: { database: Database; clock: Clock; telemetry: Telemetry }): AsyncDisposable {
  const { database, clock, telemetry } = parts;
  return repeat({
    everyMs,
    clock,
    async run() {
      const records = await expire(database.pool, clock.now());
      if (records > 0) telemetry.idempotencyExpired(records);
    },
    onFailure: (error) => telemetry.jobFailed('idempotency-expiry', error),
  });
}
