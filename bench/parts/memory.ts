/** (7) Memory of each process after a collection at 10,000 and at 100,000 messages, all delivered; and which tables grew. */
import type { Arguments } from '../arguments.ts';
import { runLoad } from '../load.ts';
import { type Platform, startPlatform } from '../platform.ts';
import { childrenOf, residentKb } from '../processes.ts';
import { Inspector } from '../profile.ts';
import { heading, note, type Report } from '../report.ts';
import { startSink } from '../reporter.ts';
import { delivered } from '../settle.ts';
import { refuseFailures, requestTo } from '../stretch.ts';

const limit = 1.1;
/** Less is a page here and there. */
const grownBytes = 128 * 1024;

/** Tables that aren't partitioned by time and grow all the same, and what ends it. */
const bounded: Record<string, string> = {
  'messaging.idempotency_record': 'deleted after 24 h',
};

interface Memory {
  messages: number;
  /** KB by process. */
  rss: Record<string, number>;
  heap: Record<string, number>;
  tables: Map<string, { bytes: number; partitioned: boolean; rows: number }>;
}

export async function measureMemory(args: Arguments, report: Report): Promise<void> {
  const [few, many] = args.short ? [1_000, 3_000] : [10_000, 100_000];
  heading(`(7) memory after a collection at ${few.toLocaleString('en')} and at ${many.toLocaleString('en')} messages`);
  await using sink = await startSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  // Opened before the first look: an open inspector has its own memory.
  for (const { name, tree } of platform.watched()) if (!tree && name !== 'kafka') await platform.inspectorOf(name);
  await send(platform, report, few);
  const first = await memoryOf(platform, few);
  await send(platform, report, many - few);
  const second = await memoryOf(platform, many);

  let worst = { name: '', ratio: 0 };
  for (const [name, kb] of Object.entries(second.rss)) {
    const before = first.rss[name] ?? Number.NaN;
    const ratio = kb / before;
    if (ratio > worst.ratio) worst = { name, ratio };
    note(
      `${name.padEnd(20)} ${mb(before)} → ${mb(kb)} MB  ${ratio.toFixed(3)} ×${second.heap[name] === undefined ? '  (anonymous memory of all its processes)' : `   heap ${mb(first.heap[name] ?? 0)} → ${mb(second.heap[name] ?? 0)} MB`}`,
    );
  }
  const grown = [...second.tables]
    .map(([table, { bytes, partitioned, rows }]) => {
      const before = first.tables.get(table);
      // A queue is as large as it was at its longest, also when it is empty again.
      const bound = partitioned
        ? 'partitions are dropped by the day'
        : rows <= (before?.rows ?? 0)
          ? 'no more rows than before'
          : bounded[table];
      return { table, bound, grew: bytes - (before?.bytes ?? 0) };
    })
    .filter(({ grew }) => grew > Math.max(grownBytes, (many - few) * 4))
    .sort((a, b) => b.grew - a.grew);
  for (const { table, grew, bound } of grown) {
    note(`${table.padEnd(32)} ${Math.round(grew / (many - few))} B/message  ${bound ?? 'NOTHING BOUNDS IT'}`);
  }
  const unbounded = grown.filter(({ bound }) => bound === undefined);
  report.lines.push(
    {
      id: '7',
      what: `RSS at ${many.toLocaleString('en')} messages, worst process`,
      figure: `${worst.name} ${mb(first.rss[worst.name] ?? 0)} → ${mb(second.rss[worst.name] ?? 0)} MB`,
      ratio: `${worst.ratio.toFixed(2)} ×`,
      target: `≤ ${limit} × that at ${few.toLocaleString('en')}`,
      passed: args.short ? undefined : worst.ratio <= limit,
    },
    {
      id: '7',
      what: 'tables that grow without a bound',
      figure: unbounded.length === 0 ? 'none' : unbounded.map(({ table }) => table).join(', '),
      target: 'none',
      passed: unbounded.length === 0,
    },
  );
  report.details.memory = { first: { ...first, tables: [...first.tables] }, second: { ...second, tables: [...second.tables] } };
}

async function send(platform: Platform, report: Report, messages: number): Promise<void> {
  const load = await runLoad({
    mode: 'closed',
    url: platform.api,
    connections: 16,
    warmUpSeconds: 0,
    seconds: 3_000,
    count: messages,
    request: requestTo(platform),
  });
  refuseFailures(report, 'maildoot', load);
  await delivered(platform, 1_200_000);
}

async function memoryOf(platform: Platform, messages: number): Promise<Memory> {
  const rss: Record<string, number> = {};
  const heap: Record<string, number> = {};
  for (const { name, pid, tree } of platform.watched()) {
    if (name === 'kafka') continue;
    if (tree) {
      // Shared buffers fill up to their fixed size and are counted in each process that has touched them: they are left out.
      rss[name] = [pid, ...childrenOf(pid)].reduce((sum, one) => sum + residentOrNone(one), 0);
      continue;
    }
    await using inspector = await Inspector.open(await platform.inspectorOf(name));
    // What a finalizer lets go of is free only after the next one.
    for (let time = 0; time < 3; time++) await inspector.ask('HeapProfiler.collectGarbage');
    heap[name] = (await inspector.ask<{ usedSize: number }>('Runtime.getHeapUsage')).usedSize / 1024;
    rss[name] = residentKb(pid).rss;
  }
  // Rows that come and go leave room that vacuum gives back; what stays after it has grown.
  const counts = new Map<string, number>();
  for (const table of await unpartitioned(platform)) {
    await platform.database.query(`VACUUM ${table}`);
    const { rows: count } = await platform.database.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${table}`);
    counts.set(table, Number(count[0]?.rows));
  }
  const { rows } = await platform.database.query<{ name: string; bytes: string; partitioned: boolean }>(
    `SELECT n.nspname || '.' || coalesce(parent.relname, c.relname) AS name, sum(pg_total_relation_size(c.oid)) AS bytes,
            bool_or(parent.relname IS NOT NULL) AS partitioned
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent
     WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp'
     GROUP BY 1`,
  );
  const tables = new Map(
    rows.map((row) => [row.name, { bytes: Number(row.bytes), partitioned: row.partitioned, rows: counts.get(row.name) ?? 0 }]),
  );
  return { messages, rss, heap, tables };
}

async function unpartitioned(platform: Platform): Promise<string[]> {
  const { rows } = await platform.database.query<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'`,
  );
  return rows.map(({ name }) => name);
}

function residentOrNone(pid: number): number {
  try {
    return residentKb(pid).anonymous;
  } catch {
    return 0;
  }
}

function mb(kb: number): string {
  return (kb / 1024).toFixed(1).padStart(6);
}
