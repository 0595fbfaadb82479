// What is counted. Each count is made where the fact is recorded, in its transaction, and only for what was new there, so that an event
// that comes again counts nothing. One row per day and value of a dimension: enough for every question that is asked about one dimension
// at a time, and bounded by what a tenant uses in a day.
import { domainOfAddress } from '@maildoot/mail/address';
import { RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { StatsDimension } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { uuidTime } from '@maildoot/runtime/ids';

export const metrics = [
  'accepted',
  'delivered',
  'bounced',
  'failed',
  'suppressed',
  'complained',
  'unsubscribed',
  'opened',
  'clicked',
] as const;
export type Metric = (typeof metrics)[number];

/** So many recipients of a message did the same, at one time. */
export interface Count {
  message: { tenantId: string; fromEmail: string; stream: string; tags: readonly string[] };
  metric: Metric;
  at: Date;
  recipients: number;
}

/** One row's increase. */
export interface StatIncrease {
  tenantId: string;
  day: string;
  dimension: number;
  value: string;
  counts: Record<Metric, number>;
}

/** What an accepted message counts, on the day in its id. */
export function acceptedCounts(
  message: Count['message'] & { id: string },
  { recipients, suppressed }: { recipients: number; suppressed: number },
): Count[] {
  const at = uuidTime(message.id);
  const accepted: Count = { message, metric: 'accepted', at, recipients };
  return suppressed === 0 ? [accepted] : [accepted, { message, metric: 'suppressed', at, recipients: suppressed }];
}

/** The same, of a locked message of which nothing is recorded yet. */
export function untouchedCounts(message: Count['message'] & { id: string; statusCounts: readonly number[] }): Count[] {
  return acceptedCounts(message, {
    recipients: message.statusCounts.reduce((sum, count) => sum + count, 0),
    suppressed: message.statusCounts[RecipientStatus.RECIPIENT_STATUS_SUPPRESSED] ?? 0,
  });
}

/** Added up by row, in one order everywhere: two transactions that touch the same rows wait for each other and never for ever. */
export function increases(counts: readonly Count[]): StatIncrease[] {
  const rows = new Map<string, StatIncrease>();
  for (const { message, metric, at, recipients } of counts) {
    const day = at.toISOString().slice(0, 10);
    const values: [number, string][] = [
      [StatsDimension.STATS_DIMENSION_NONE, ''],
      [StatsDimension.STATS_DIMENSION_DOMAIN, domainOfAddress(message.fromEmail)],
      [StatsDimension.STATS_DIMENSION_STREAM, message.stream],
      ...[...new Set(message.tags)].map((tag): [number, string] => [StatsDimension.STATS_DIMENSION_TAG, tag]),
    ];
    for (const [dimension, value] of values) {
      const key = `${message.tenantId}\n${day}\n${dimension}\n${value}`;
      let row = rows.get(key);
      if (row === undefined) {
        row = { tenantId: message.tenantId, day, dimension, value, counts: none() };
        rows.set(key, row);
      }
      row.counts[metric] += recipients;
    }
  }
  return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function none(): Record<Metric, number> {
  return Object.fromEntries(metrics.map((metric) => [metric, 0])) as Record<Metric, number>;
}

/** What a recipient's new status counts as; undefined = it is no end that is counted. */
export function metricOf(status: RecipientStatus): Metric | undefined {
  switch (status) {
    case RecipientStatus.RECIPIENT_STATUS_DELIVERED:
      return 'delivered';
    case RecipientStatus.RECIPIENT_STATUS_BOUNCED:
      return 'bounced';
    case RecipientStatus.RECIPIENT_STATUS_FAILED:
      return 'failed';
    // Late; those who were on the list at the accept are counted with it.
    case RecipientStatus.RECIPIENT_STATUS_SUPPRESSED:
      return 'suppressed';
    default:
      return undefined;
  }
}
