// Removes idempotency records when their day is over, and with them what their answers hold: sealed keys, say.
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import type pg from 'pg';
import { expire } from './idempotency.ts';

const everyMs = 10 * 60_000;

export interface ExpiringOptions {
  pool: pg.Pool;
  clock: Clock;
  /** So many were removed, one at least. */
  onExpired?(records: number): void;
  onFailure(error: unknown): void;
}

/** For as long as it isn't disposed of. A failure is reported, and it is tried again ten minutes later. */
export function keepExpiring({ pool, clock, onExpired, onFailure }: ExpiringOptions): AsyncDisposable {
  return repeat({
    everyMs,
    clock,
    async run() {
      const records = await expire(pool, clock.now());
      if (records > 0) onExpired?.(records);
    },
    onFailure,
  });
}
