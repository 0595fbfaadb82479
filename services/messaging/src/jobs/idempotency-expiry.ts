// Deletes idempotency records whose 24 hours are over.
import type { Database } from '@maildoot/db/database';
import { expire } from '@maildoot/db/idempotency';
import type { Clock } from '@maildoot/runtime/clock';
import type { Telemetry } from '../telemetry.ts';

const everyMs = 10 * 60_000;

export function startIdempotencyExpiry(parts: { database: Database; clock: Clock; telemetry: Telemetry }): AsyncDisposable {
  const { database, clock, telemetry } = parts;
  const stopping = new AbortController();
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const records = await expire(database.pool, clock.now());
        if (records > 0) telemetry.idempotencyExpired(records);
      } catch (error) {
        telemetry.jobFailed('idempotency-expiry', error);
      }
      // Rejects when the service stops, and only then.
      await clock.sleep(everyMs, stopping.signal).catch(() => undefined);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await loop;
    },
  };
}
