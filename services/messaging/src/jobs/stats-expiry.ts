// Forgets counts of days that are past their retention.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import { expireStats } from '../store/stats.ts';
import type { Telemetry } from '../telemetry.ts';

const everyMs = 6 * 3_600_000;
const dayMs = 86_400_000;

export function startStatsExpiry(parts: {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  retentionDays: number;
}): AsyncDisposable {
  const { database, clock, telemetry, retentionDays } = parts;
  return repeat({
    everyMs,
    clock,
    async run() {
      await expireStats(database.pool, new Date(clock.now().getTime() - retentionDays * dayMs).toISOString().slice(0, 10));
    },
    onFailure: (error) => telemetry.jobFailed('stats-expiry', error),
  });
}
