// Not a test: what a claim costs, by how many rows wait and how they are spread.
//   node services/delivery/test/claim-cost.ts [--rows 1000000] [--claims 100] [--explain]
// Rows of one tenant to one destination, to very many, and of very many tenants, some suspended; each beside a thousand rows of the same kind.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { newUuid } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { createTestDatabase } from '@maildoot/testkit/database';
import { share, Turns } from '../src/claim.ts';
import { migrations, schema } from '../src/service.ts';
import { claim, earliestDue, Rotation } from '../src/store/due.ts';
import { registerIncarnation } from '../src/store/incarnation.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    claims: { type: 'string', default: '100' },
    explain: { type: 'boolean', default: false },
  },
});
const [rows, claims] = [Number(values.rows), Number(values.claims)];
const planned = '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan -c jit=off';

interface Spread {
  name: string;
  destinations: number;
  tenants: number;
  /** Of the tenants. */
  suspended?: number;
}
const spreads: Spread[] = [
  { name: 'one destination, one tenant', destinations: 1, tenants: 1 },
  { name: 'one destination, 1,000 tenants', destinations: 1, tenants: 1_000 },
  { name: '50,000 destinations, one tenant', destinations: 50_000, tenants: 1 },
  { name: 'one destination, 1,000 tenants, half of them suspended', destinations: 1, tenants: 1_000, suspended: 500 },
];

for (const spread of spreads) {
  for (const count of [1_000, rows]) {
    const [ofClaim, ofNone] = await measure(spread, count);
    console.log(
      `${spread.name}, ${count} rows: a claim of ten takes ${said(ofClaim)}; one without room, and when to look again, ${said(ofNone)}`,
    );
  }
}
process.exit(0);

/** Of the one PostgreSQL backend that does it. */
interface Cost {
  cpuMs: number;
  pages: number;
}

function said({ cpuMs, pages }: Cost): string {
  return `${cpuMs.toFixed(2)} ms of CPU and ${Math.round(pages)} pages`;
}

async function measure({ destinations, tenants, suspended = 0 }: Spread, count: number): Promise<[Cost, Cost]> {
  await using testDatabase = await createTestDatabase();
  const url = new URL(testDatabase.url);
  url.searchParams.set('options', planned);
  const logger = createLogger({ service: 'claim-cost', level: 'warn' });
  await migrate({ url: url.href, schema, migrations, logger });
  await using database = openDatabase({ url: url.href, schema, maxConnections: 1, applicationName: 'claim-cost', logger });
  const perStatement = 50_000;
  for (let from = 0; from < count; from += perStatement)
    await database.pool.query(
      `INSERT INTO due (message_id, recipient_number, tenant_id, address, domain, destination, mail_from, signing_domain, captured, size_bytes,
                      next_due_at, queued_at)
     SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 0, md5((n % $3)::text)::uuid, 'someone@example.test', 'example.test', 'd' || n % $2 || '.test', 'a@shop.test', 'shop.test',
            false, 10000, now() - (($1 - n) * interval '1 millisecond'), now()
     FROM generate_series($4::int + 1, least($4 + ${perStatement}, $1)) AS n`,
      [count, destinations, tenants, from],
    );
  await database.pool.query(
    'INSERT INTO ready (destination, tenant_id, next_due_at) SELECT destination, tenant_id, min(next_due_at) FROM due GROUP BY destination, tenant_id',
  );
  await database.pool.query('INSERT INTO suspended_tenant (tenant_id) SELECT DISTINCT tenant_id FROM ready ORDER BY tenant_id LIMIT $1', [
    suspended,
  ]);
  await database.pool.query('VACUUM ANALYZE');
  await database.pool.query('CHECKPOINT');
  const incarnation = newUuid();
  await registerIncarnation(database, incarnation);
  const [rotation, turns, now] = [new Rotation(), new Turns(), new Date()];
  const holdings = { of: () => 0, at: () => 0, free: 1_000 };
  // Rows of a thousand that are left for claims behind the first ones, which meet an empty cache of plans.
  const times = Math.min(claims, 80);
  const one = async (room: number, full: string[] = []): Promise<number> => {
    const claimed = await claim(database, {
      ...{ incarnation, now, full, rotation },
      share: (pairs) => share(pairs, 10, () => room, holdings, turns),
    });
    turns.served(claimed);
    return claimed.length;
  };
  for (let warm = 0; warm < 10; warm++) await one(10);
  const used = async (): Promise<Cost> => {
    const { rows: found } = await database.pool.query<{ pid: number; pages: number }>(
      'SELECT pg_backend_pid() AS pid, (blks_hit + blks_read)::int AS pages FROM pg_stat_database, pg_stat_force_next_flush() WHERE datname = current_database()',
    );
    const { pid = 0, pages = 0 } = found[0] ?? {};
    return { cpuMs: cpuMsOf(pid), pages };
  };
  const costOf = async (work: () => Promise<unknown>): Promise<Cost> => {
    await database.pool.query('UPDATE incarnation SET heartbeat_at = now()');
    await used();
    const before = await used();
    for (let index = 0; index < times; index++) await work();
    await used();
    const after = await used();
    return { cpuMs: (after.cpuMs - before.cpuMs) / times, pages: (after.pages - before.pages) / times };
  };
  const ofClaim = await costOf(() => one(10));
  const ofNone = await costOf(async () => {
    await one(0, ['d0.test']);
    await earliestDue(database, ['d0.test'], now);
  });
  if (values.explain) await explain(database.pool, now);
  return [ofClaim, ofNone];
}

/** From /proc, in ticks of ten milliseconds. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function explain(pool: { query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }> }, now: Date): Promise<void> {
  const { rows: statements } = await pool.query("SELECT statement FROM pg_prepared_statements WHERE name = 'claim-pairs'");
  const text = (statements as { statement: string }[])[0]?.statement;
  if (text === undefined) return;
  const { rows: plan } = await pool.query(`EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) ${text}`, [
    now,
    [],
    '00000000-0000-0000-0000-000000000000',
  ]);
  for (const line of plan as { 'QUERY PLAN': string }[]) console.log(line['QUERY PLAN']);
}
