// The table of counts.
import { bigintArray, smallintArray, textArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';
import { type Count, increases, type Metric, metrics } from '../stats.ts';

type Queryable = Pick<pg.Pool, 'query'> | Pick<pg.ClientBase, 'query'>;

/** Last in its transaction: the rows of today are everybody's, and are held until the commit. */
export async function addCounts(client: pg.ClientBase, counts: readonly Count[]): Promise<void> {
  const rows = increases(counts);
  if (rows.length === 0) return;
  await client.query({
    name: 'add-counts',
    text: `
      INSERT INTO stat (tenant_id, day, dimension, value, ${metrics.join(', ')})
      SELECT tenant_id, day::date, dimension, value, ${metrics.join(', ')}
      FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], ${metrics.map((_, index) => `$${index + 5}::bigint[]`).join(', ')})
        AS new (tenant_id, day, dimension, value, ${metrics.join(', ')})
      ON CONFLICT (tenant_id, day, dimension, value) DO UPDATE
      SET ${metrics.map((metric) => `${metric} = stat.${metric} + excluded.${metric}`).join(', ')}`,
    values: [
      uuidArray(rows.map((row) => row.tenantId)),
      textArray(rows.map((row) => row.day)),
      smallintArray(rows.map((row) => row.dimension)),
      textArray(rows.map((row) => row.value)),
      ...metrics.map((metric) => bigintArray(rows.map((row) => BigInt(row.counts[metric])))),
    ],
  });
}

export interface StatQuestion {
  tenantId: string;
  /** `2026-01-31`, both included. */
  fromDay: string;
  toDay: string;
  dimension: number;
  value: string | undefined;
  byDay: boolean;
  limit: number;
}

export interface StatRow {
  day: string;
  value: string;
  counts: Record<Metric, bigint>;
}

/** By day, then the busiest first; those beyond the limit are the least busy. */
export async function readStats(on: Queryable, question: StatQuestion): Promise<StatRow[]> {
  const { tenantId, fromDay, toDay, dimension, value, byDay, limit } = question;
  const day = byDay ? "to_char(day, 'YYYY-MM-DD')" : "''::text";
  const { rows } = await on.query<{ day: string; value: string } & Record<Metric, string>>(
    `SELECT * FROM (
       SELECT ${day} AS day, value, ${metrics.map((metric) => `sum(${metric})::text AS ${metric}`).join(', ')}
       FROM stat
       WHERE tenant_id = $1 AND day BETWEEN $2::date AND $3::date AND dimension = $4 AND ($5::text IS NULL OR value = $5)
       GROUP BY 1, 2 ORDER BY sum(accepted) DESC, 2, 1 LIMIT $6
     ) AS busiest ORDER BY day, accepted::bigint DESC, value`,
    [tenantId, fromDay, toDay, dimension, value ?? null, limit],
  );
  return rows.map((row) => ({
    day: row.day,
    value: row.value,
    counts: Object.fromEntries(metrics.map((metric) => [metric, BigInt(row[metric])])) as Record<Metric, bigint>,
  }));
}

/** In batches, so that no transaction is long. Answers how many rows are gone. */
export async function expireStats(pool: pg.Pool, beforeDay: string, batch = 1000): Promise<number> {
  for (let deleted = 0; ; ) {
    const { rowCount } = await pool.query(
      'DELETE FROM stat WHERE ctid = ANY (ARRAY(SELECT ctid FROM stat WHERE day < $1::date ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED))',
      [beforeDay, batch],
    );
    deleted += rowCount ?? 0;
    if ((rowCount ?? 0) < batch) return deleted;
  }
}
