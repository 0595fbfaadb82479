// Not a test: what a claim costs, by how many rows wait and how they are spread.
//   node services/delivery/test/claim-cost.ts [--rows 1000000] [--claims 100] [--explain]
// Rows of one tenant to one destination, to very many, and of very many tenants; each beside a thousand rows of the same kind.

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
}
const spreads: Spread[] = [
  { name: 'one destination, one tenant', destinations: 1, tenants: 1 },
  { name: 'one destination, 1,000 tenants', destinations: 1, tenants: 1_000 },
  { name: '50,000 destinations, one tenant', destinations: 50_000, tenants: 1 },
];

for (const spread of spreads) {
  for (const count of [1_000, rows]) {
    const cost = await measure(spread, count);
    console.log(
      `${spread.name}, ${count} rows: ${cost.claimMs.toFixed(2)} ms per claim of ${cost.perClaim} rows, ${cost.emptyMs.toFixed(2)} ms for one that finds nothing`,
    );
  }
}
process.exit(0);

async function measure({ destinations, tenants }: Spread, count: number): Promise<{ claimMs: number; perClaim: number; emptyMs: number }> {
  await using testDatabase = await createTestDatabase();
  const url = new URL(testDatabase.url);
  url.searchParams.set('options', planned);
  const logger = createLogger({ service: 'claim-cost', level: 'warn' });
  await migrate({ url: url.href, schema, migrations, logger });
  await using database = openDatabase({ url: url.href, schema, maxConnections: 2, applicationName: 'claim-cost', logger });
  const perStatement = 50_000;
  for (let from = 0; from < count; from += perStatement)
    await database.pool.query(
      `INSERT INTO due (message_id, recipient_number, tenant_id, address, domain, destination, mail_from, signing_domain, captured, size_bytes,
                      next_due_at, queued_at)
     SELECT gen_random_uuid(), 0, md5((n % $3)::text)::uuid, 'someone@example.test', 'example.test', 'd' || n % $2 || '.test', 'a@shop.test', 'shop.test',
            false, 10000, now() - (($1 - n) * interval '1 millisecond'), now()
     FROM generate_series($4::int + 1, least($4 + ${perStatement}, $1)) AS n`,
      [count, destinations, tenants, from],
    );
  await database.pool.query(
    'INSERT INTO ready (destination, tenant_id, next_due_at) SELECT destination, tenant_id, min(next_due_at) FROM due GROUP BY destination, tenant_id',
  );
  await database.pool.query('VACUUM ANALYZE');
  await database.pool.query('CHECKPOINT');
  const incarnation = newUuid();
  await registerIncarnation(database, incarnation);
  const [rotation, turns, now] = [new Rotation(), new Turns(), new Date()];
  const holdings = { of: () => 0, at: () => 0, free: 1_000 };
  let taken = 0;
  const one = async (room: number, full: string[] = []): Promise<void> => {
    const claimed = await claim(database, {
      ...{ incarnation, now, full, rotation },
      share: (pairs) => share(pairs, 10, () => room, holdings, turns),
    });
    turns.served(claimed);
    taken += claimed.length;
    await database.pool.query('UPDATE incarnation SET heartbeat_at = now()');
  };
  for (let warm = 0; warm < 10; warm++) await one(10);
  taken = 0;
  const startedAt = performance.now();
  // As many in both, and never more than there are.
  const times = Math.min(claims, 80);
  for (let index = 0; index < times; index++) await one(10);
  const claimMs = (performance.now() - startedAt) / times;
  const perClaim = Math.round(taken / times);
  const emptyAt = performance.now();
  for (let index = 0; index < times; index++) {
    await one(0, ['d0.test']);
    await earliestDue(database, ['d0.test'], now);
  }
  const emptyMs = (performance.now() - emptyAt) / times;
  if (values.explain) await explain(database.pool, now);
  return { claimMs, perClaim, emptyMs };
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
