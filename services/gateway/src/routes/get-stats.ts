// GET /v1/stats: what became of the account's mail, in numbers.
import { type StatsCounts, StatsDimension } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { z } from 'zod';
import { domainField, textField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { refuse } from '../schema-parts.ts';

const dayMs = 86_400_000;
const maxDays = 400;
const defaultDays = 30;

const counts = {
  accepted: z.int(),
  delivered: z.int(),
  bounced: z.int(),
  failed: z.int(),
  suppressed: z.int(),
  complained: z.int(),
  unsubscribed: z.int(),
  opened: z.int().meta({ description: 'By people, as far as can be told.' }),
  clicked: z.int().meta({ description: 'By people, as far as can be told.' }),
};

const schema = z
  .strictObject({
    object: z.literal('stats'),
    from: z.iso.date(),
    to: z.iso.date(),
    group_by: z.enum(['day', 'domain', 'tag', 'stream']),
    data: z.array(
      z.strictObject({
        day: z.iso.date().nullable().meta({ description: 'Null: the days are added up.' }),
        value: z.string().nullable().meta({ description: 'The domain, tag or stream; null: all of them.' }),
        ...counts,
      }),
    ),
    total: z.strictObject(counts).meta({ id: 'StatsCounts' }),
  })
  .meta({ id: 'Stats', description: 'Recipients, each counted once for what it did, on the day it did it (UTC).' });

function dayField(description: string): z.ZodType<string | undefined> {
  return z
    .string()
    .transform((text, context) => {
      const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text);
      return isDay ? text : refuse(context, text, 'invalid_day', 'This must be a day like 2026-01-31.');
    })
    .optional()
    .meta({ description, examples: ['2026-01-31'] });
}

const dimensions = {
  day: StatsDimension.STATS_DIMENSION_NONE,
  domain: StatsDimension.STATS_DIMENSION_DOMAIN,
  tag: StatsDimension.STATS_DIMENSION_TAG,
  stream: StatsDimension.STATS_DIMENSION_STREAM,
} as const;

const exampleCounts = {
  accepted: 120,
  delivered: 117,
  bounced: 2,
  failed: 0,
  suppressed: 1,
  complained: 0,
  unsubscribed: 1,
  opened: 64,
  clicked: 22,
};

export const getStats = defineRoute({
  method: 'GET',
  path: '/v1/stats',
  operationId: 'getStats',
  tag: 'Statistics',
  summary: 'Count what became of your mail',
  description:
    'By day for the last 30 days, unless asked otherwise. `domain`, `tag` or `stream` (one of them) counts one value by day; `group_by` adds the days up per value, the busiest first.',
  scopes: ['read', 'full'],
  query: z
    .strictObject({
      from: dayField('The first day.'),
      to: dayField('The last day; by default today, UTC.'),
      group_by: z.enum(['day', 'domain', 'tag', 'stream']).optional(),
      domain: domainField('The domain in From.'),
      tag: textField('A tag.', 256),
      stream: textField('A stream.', 64),
    })
    .check(
      z.superRefine((query, context) => {
        const chosen = (['domain', 'tag', 'stream'] as const).filter((name) => query[name] !== undefined);
        if (chosen.length > 1)
          refuse(context, query, 'too_many', 'Give one of domain, tag and stream: counts are kept by one at a time.', [chosen[1] ?? '']);
        if (chosen.length === 1 && query.group_by !== undefined && query.group_by !== 'day' && query.group_by !== chosen[0])
          refuse(context, query, 'invalid_value', 'One value is counted by day.', ['group_by']);
        if (query.from !== undefined && query.from > (query.to ?? dayOf(Date.now())))
          refuse(context, query, 'invalid_day', 'The first day is behind the last one.', ['from']);
      }),
    ),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'The counts.',
      schema,
      example: {
        object: 'stats',
        from: '2026-01-30',
        to: '2026-01-31',
        group_by: 'day',
        data: [{ day: '2026-01-31', value: null, ...exampleCounts }],
        total: exampleCounts,
      },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const to = query.to ?? dayOf(Date.now());
    const earliest = dayOf(Date.parse(to) - (maxDays - 1) * dayMs);
    const asked = query.from ?? dayOf(Date.parse(to) - (defaultDays - 1) * dayMs);
    // Days sort as text.
    const [, from = asked] = [asked, earliest].sort();
    const chosen = (['domain', 'tag', 'stream'] as const).find((name) => query[name] !== undefined);
    const groupBy = query.group_by ?? 'day';
    const value = chosen === undefined ? '' : (query[chosen] ?? '');
    const { rows, total } = await peers.messaging.getStats(
      { fromDay: from, toDay: to, dimension: dimensions[chosen ?? groupBy], value, byDay: groupBy === 'day' || chosen !== undefined },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, {
      object: 'stats',
      from,
      to,
      group_by: groupBy,
      data: rows.map((row) => ({ day: row.day || null, value: row.value || null, ...countsJson(row.counts) })),
      total: countsJson(total),
    });
  },
});

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function countsJson(of: StatsCounts | undefined): typeof exampleCounts {
  return {
    accepted: Number(of?.accepted ?? 0n),
    delivered: Number(of?.delivered ?? 0n),
    bounced: Number(of?.bounced ?? 0n),
    failed: Number(of?.failed ?? 0n),
    suppressed: Number(of?.suppressed ?? 0n),
    complained: Number(of?.complained ?? 0n),
    unsubscribed: Number(of?.unsubscribed ?? 0n),
    opened: Number(of?.opened ?? 0n),
    clicked: Number(of?.clicked ?? 0n),
  };
}
