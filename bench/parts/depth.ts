/**
 * (f) What a delivered message costs with 10^3 and with 10^6 messages in the queue. The queue is filled by SQL: one message is accepted
 * through the API for later, and its rows (message, recipient, content, ledger, due) are copied under new ids, so that every one of the
 * million can really be delivered. The measure is CPU, of all roles and PostgreSQL with its vacuum.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@maildoot/testkit/wait';
import type { Arguments } from '../arguments.ts';
import { type Costs, cpuText, startMeter, walText } from '../meter.ts';
import { domain, type Platform, startPlatform } from '../platform.ts';
import { heading, note, type Report, rate } from '../report.ts';
import { startSink } from '../reporter.ts';

const small = 1_000;
const limit = 1.1;

interface Depth {
  queued: number;
  rate: number;
  costs: Costs;
}

export async function measureDepth(args: Arguments, report: Report): Promise<void> {
  const large = args.short ? 30_000 : 1_000_000;
  const measured = args.short ? 3_000 : 10_000;
  heading(`(f) cost of a message with ${small.toLocaleString('en')} and with ${large.toLocaleString('en')} queued`);
  await using sink = await startSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  const delivered = async () => (await sink.report()).messages;
  const { rows } = await templateOf(platform);

  // The compiler needs some thousand messages before the cost of one is steady.
  const warmUps = args.short ? 3 : 8;
  await drainSmall(platform, rows, warmUps, delivered);
  const depths: Depth[] = [];
  depths.push(await drainSmall(platform, rows, measured / small, delivered));
  tell(depths.at(-1));

  const startedAtMs = performance.now();
  await fill(platform, rows, large + 2 * measured);
  note(`${large.toLocaleString('en')} messages copied in ${((performance.now() - startedAtMs) / 1000).toFixed(0)} s`);
  depths.push(await drainLarge(platform, large, measured, delivered));
  tell(depths.at(-1));

  // Once more at the small size, because the machine may have changed meanwhile.
  await platform.stopRole('delivery');
  await platform.database.query(`TRUNCATE delivery.due, delivery.ready`);
  await platform.startRole('delivery');
  await drainSmall(platform, rows, warmUps, delivered);
  depths.push(await drainSmall(platform, rows, measured / small, delivered));
  tell(depths.at(-1));

  const [first, deep, last] = depths;
  if (first === undefined || deep === undefined || last === undefined) throw new Error('a depth is missing');
  const shallowMs = (first.costs.cpuMsTotal + last.costs.cpuMsTotal) / 2;
  const ratio = deep.costs.cpuMsTotal / shallowMs;
  report.lines.push({
    id: '6f',
    what: `CPU per message, ${large.toLocaleString('en')} queued`,
    figure: `${deep.costs.cpuMsTotal.toFixed(2)} ms (${small.toLocaleString('en')} queued: ${shallowMs.toFixed(2)} ms)`,
    ratio: `${ratio.toFixed(2)} ×`,
    target: '≤ 1.10 × at 10^6',
    passed: args.short ? undefined : ratio <= limit,
  });
  report.details.depth = { depths, ratio };
}

function tell(depth: Depth | undefined): void {
  if (depth === undefined) return;
  note(
    `${depth.queued.toLocaleString('en').padStart(9)} queued: ${rate(depth.rate)}; CPU ms/message ${depth.costs.cpuMsTotal.toFixed(3)}: ${cpuText(depth.costs)}; ${walText(depth.costs)}`,
  );
}

interface Template {
  /** Table → its key column, and the columns that are copied as they are. */
  rows: { table: string; key: string; columns: string[] }[];
}

/** A message that is kept for an hour: its rows are what is copied. */
async function templateOf(platform: Platform): Promise<Template> {
  const { database } = platform;
  const { status, body } = await platform.call('POST', '/v1/messages', {
    from: `shop@${domain}`,
    to: 'someone@recipient.example',
    subject: 'Order 000000000000 confirmed',
    text: 'Thank you for your order.\n'.repeat(80),
    send_at: new Date(Date.now() + 3_600_000).toISOString(),
  });
  if (status !== 202) throw new Error(`the template was not accepted: ${JSON.stringify(body)}`);
  await waitFor(async () => (await database.query('SELECT 1 FROM delivery.due')).rowCount === 1, {
    what: 'the template to be in the queue',
  });
  const tables = [
    ['messaging.message', 'id'],
    ['messaging.recipient', 'message_id'],
    ['messaging.content', 'message_id'],
    ['delivery.ledger', 'message_id'],
    ['delivery.due', 'message_id'],
  ] as const;
  const rows: Template['rows'] = [];
  for (const [table, key] of tables) {
    const name = table.replace('.', '_');
    await database.query(`CREATE TEMP TABLE template_${name} AS SELECT * FROM ${table}`);
    const { rows: columns } = await database.query<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> ALL ($2)`,
      [table, [key, 'next_due_at']],
    );
    rows.push({ table, key, columns: columns.map((column) => `"${column.name}"`) });
  }
  await database.query('DELETE FROM delivery.due');
  await database.query(`UPDATE delivery.ready SET next_due_at = 'infinity'`);
  return { rows };
}

/** Copies the template so many times, due now; nothing is claimed before `release`. */
async function fill(platform: Platform, rows: Template['rows'], count: number): Promise<void> {
  const { database } = platform;
  const atOnce = 50_000;
  for (let done = 0; done < count; done += atOnce) {
    await database.query(
      'CREATE TEMP TABLE new_id AS SELECT uuidv7() AS id FROM generate_series(1, $1::int)'.replace(
        '$1',
        String(Math.min(atOnce, count - done)),
      ),
    );
    for (const { table, key, columns } of rows) {
      const name = table.replace('.', '_');
      const due = table === 'delivery.due';
      await database.query(
        `INSERT INTO ${table} (${key}, ${columns.join(', ')}${due ? ', next_due_at' : ''})
         SELECT n.id, ${columns.map((column) => `t.${column}`).join(', ')}${due ? `, now() - interval '1 second'` : ''}
         FROM new_id n CROSS JOIN template_${name} t ORDER BY n.id`,
      );
    }
    await database.query('DROP TABLE new_id');
  }
  await database.query('VACUUM ANALYZE delivery.due');
  await database.query('VACUUM ANALYZE messaging.content, messaging.message, messaging.recipient');
  await database.query('CHECKPOINT');
}

async function release(platform: Platform): Promise<void> {
  await platform.database.query(
    `INSERT INTO delivery.ready (destination, tenant_id, next_due_at)
     SELECT destination, tenant_id, min(next_due_at) FROM delivery.due GROUP BY destination, tenant_id
     ON CONFLICT (destination, tenant_id) DO UPDATE SET next_due_at = EXCLUDED.next_due_at`,
  );
}

/** A thousand at a time until so many thousands are through; only the draining is measured. */
async function drainSmall(platform: Platform, rows: Template['rows'], times: number, delivered: () => Promise<number>): Promise<Depth> {
  const sums: Costs[] = [];
  let seconds = 0;
  for (let time = 0; time < times; time++) {
    await fill(platform, rows, small);
    const before = await delivered();
    const meter = await startMeter(platform.watched(), platform.database);
    const startedAtMs = performance.now();
    await release(platform);
    await waitFor(async () => (await delivered()) - before >= small, { what: 'a thousand to be delivered', timeoutMs: 120_000 });
    seconds += (performance.now() - startedAtMs) / 1000;
    await recorded(platform);
    sums.push(await meter.stop(small));
  }
  const mean = (of: (costs: Costs) => number) => sums.reduce((sum, costs) => sum + of(costs), 0) / sums.length;
  const names = Object.keys(sums[0]?.cpuMsPerMessage ?? {});
  return {
    queued: small,
    rate: (times * small) / seconds,
    costs: {
      seconds,
      messages: times * small,
      cpuMsPerMessage: Object.fromEntries(names.map((name) => [name, mean((costs) => costs.cpuMsPerMessage[name] ?? 0)])),
      cpuMsTotal: mean((costs) => costs.cpuMsTotal),
      walBytesPerMessage: mean((costs) => costs.walBytesPerMessage),
      walFlushesPerMessage: mean((costs) => costs.walFlushesPerMessage),
      transactionsPerMessage: mean((costs) => costs.transactionsPerMessage),
      machineBusyShare: mean((costs) => costs.machineBusyShare),
    },
  };
}

/** With the whole queue behind them: the first are not counted, then so many are. */
async function drainLarge(platform: Platform, queued: number, measured: number, delivered: () => Promise<number>): Promise<Depth> {
  const before = await delivered();
  await release(platform);
  const warmUp = measured / 2;
  await waitFor(async () => (await delivered()) - before >= warmUp, { what: 'the first to be delivered', timeoutMs: 120_000 });
  const meter = await startMeter(platform.watched(), platform.database);
  const startedAt = await delivered();
  const startedAtMs = performance.now();
  await waitFor(async () => (await delivered()) - startedAt >= measured, { what: 'the measured ones to be delivered', timeoutMs: 300_000 });
  const count = (await delivered()) - startedAt;
  const seconds = (performance.now() - startedAtMs) / 1000;
  const costs = await meter.stop(count);
  return { queued, rate: count / seconds, costs };
}

/** The queue is empty and messaging was told. */
async function recorded(platform: Platform): Promise<void> {
  await waitFor(
    async () => {
      const { rows } = await platform.database.query<{ open: string }>(
        `SELECT (SELECT count(*) FROM delivery.due) + (SELECT count(*) FROM delivery.outbox WHERE position IS NULL) AS open`,
      );
      return Number(rows[0]?.open) === 0;
    },
    { what: 'every outcome to be recorded', timeoutMs: 120_000, intervalMs: 50 },
  );
  // The last batch of outcomes is read by messaging in the blink after it has its positions.
  await delay(100);
}
