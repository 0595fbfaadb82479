// GetStats: what became of the tenant's mail, in numbers.
import { StatsDimension, type StatsServiceService } from '@maildoot/proto/maildoot/messaging/v1/stats';
import type pg from 'pg';
import { errors } from '../errors.ts';
import { metrics } from '../stats.ts';
import { readStats, type StatRow } from '../store/stats.ts';
import { tenantOf, unary } from './door.ts';

const maxRows = 10_000;
const aDay = /^\d{4}-\d{2}-\d{2}$/;

export function getStats({ pool }: { pool: pg.Pool }) {
  return unary<typeof StatsServiceService.getStats>(['gateway'], async (request, call) => {
    const tenantId = tenantOf(call);
    const { fromDay, toDay, dimension, value, byDay } = request;
    for (const [path, day] of Object.entries({ from_day: fromDay, to_day: toDay })) {
      if (aDay.test(day) && !Number.isNaN(Date.parse(day))) continue;
      const issue = { path, code: 'invalid_day', message: 'This must be a day like 2026-01-31.' };
      throw errors.VALIDATION_ERROR({ message: issue.message, issues: [issue] });
    }
    const ask = (by: number, one: string | undefined, days: boolean, limit: number) =>
      readStats(pool, { tenantId, fromDay, toDay, dimension: by, value: one, byDay: days, limit });
    const by = dimension || StatsDimension.STATS_DIMENSION_NONE;
    // The total is all of the tenant's, or of the one value: tags overlap, so adding lines up would count a recipient twice.
    const one = value || undefined;
    const [rows, total] = await Promise.all([
      ask(by, one, byDay, maxRows),
      one === undefined ? ask(StatsDimension.STATS_DIMENSION_NONE, undefined, false, 1) : ask(by, one, false, 1),
    ]);
    return {
      rows: rows.map((row) => ({ day: row.day, value: row.value, counts: row.counts })),
      total: total[0]?.counts ?? zero(),
    };
  });
}

function zero(): StatRow['counts'] {
  return Object.fromEntries(metrics.map((metric) => [metric, 0n])) as StatRow['counts'];
}
