// Tenants take turns, at the store: whose rows a claim gets to see, and whose domains are resolved next, whatever others have waiting.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { ensurePartitions } from '@maildoot/db/partitions';
import { newUuid } from '@maildoot/runtime/ids';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { share, Turns } from '../src/claim.ts';
import { migrations, schema } from '../src/service.ts';
import { claim, type DueRow, earliestDue, enqueue, type ReadyPair, Rotation, unresolvedDestinations } from '../src/store/due.ts';
import { registerIncarnation } from '../src/store/incarnation.ts';
import { giveUpSuspended } from '../src/store/suspended-tenant.ts';

describe('the turns of tenants', () => {
  const cleanup = new AsyncDisposableStack();
  let database: Database;
  let databaseUrl: string;
  let incarnation: string;
  let number = 0;
  const now = new Date();
  const ago = (seconds: number): Date => new Date(now.getTime() - seconds * 1_000);

  before(async () => {
    const { url } = cleanup.use(await createTestDatabase({ template: tablesOf({ [schema]: migrations }) }));
    databaseUrl = url;
    await migrate({ url, schema, migrations });
    database = cleanup.use(openDatabase({ url, schema, maxConnections: 4, applicationName: 'test' }));
    for (const [table, by] of [
      ['ledger', 'uuidv7'],
      ['outbox', 'uuidv7'],
      ['attempt', 'timestamp'],
    ] as const)
      await ensurePartitions(database.pool, { table, by, aheadDays: 1 });
  });
  after(() => cleanup.disposeAsync());
  beforeEach(async () => {
    for (const table of ['due', 'ready', 'incarnation', 'destination', 'suspended_tenant'])
      await database.pool.query(`DELETE FROM ${table}`);
    incarnation = newUuid();
    await registerIncarnation(database, incarnation);
  });

  it('are at the claim, not in the order in which rows are due', async () => {
    const [many, few] = [newUuid(), newUuid()];
    await put(many, 500, { dueAt: ago(60) });
    await put(few, 3);
    const rows = await take({ room: 20 });
    // Nobody knows how few they are before they are taken; what they leave is the next claim's.
    assert.equal(rows.length, 13);
    assert.equal(rows.filter((row) => row.tenantId === few).length, 3);
  });

  it('are each tenant’s, to however many destinations one writes and since when', async () => {
    const [many, few] = [newUuid(), newUuid()];
    for (let index = 0; index < 300; index++) await put(many, 1, { destination: `d${index}.test`, dueAt: ago(60) });
    await put(few, 1, { destination: 'other.test' });
    let seen: readonly ReadyPair[] = [];
    const rows = await take({ room: 20, budget: 10, see: (pairs) => (seen = pairs) });
    assert.ok(rows.some((row) => row.tenantId === few));
    assert.ok(seen.length >= 30 && seen.length <= 64, `${seen.length} pairs were locked`);
  });

  it('come round to all of very many tenants', async () => {
    const tenants = Array.from({ length: 300 }, () => newUuid());
    for (const tenant of tenants) await put(tenant, 4);
    const rotation = new Rotation();
    const turns = new Turns();
    const served = new Set<string>();
    for (let claims = 0; served.size < tenants.length && claims < 12; claims++)
      for (const { tenantId } of await take({ room: 1_000, budget: 50, rotation, turns })) served.add(tenantId);
    assert.equal(served.size, tenants.length);
  });

  it('skip destinations that have no room or back off, and say when the next row is due', async () => {
    const tenant = newUuid();
    await put(tenant, 5, { destination: 'full.test', dueAt: ago(9) });
    await put(tenant, 5, { destination: 'down.test', dueAt: ago(8) });
    await put(tenant, 5, { destination: 'later.test', dueAt: ago(-60) });
    const until = ago(-30);
    await database.pool.query("INSERT INTO destination (name, failures, back_off_until) VALUES ('down.test', 1, $1)", [until]);
    assert.deepEqual(await take({ full: ['full.test'] }), []);
    assert.deepEqual(await earliestDue(database, ['full.test'], now), until);
    await database.pool.query('DELETE FROM destination');
    assert.deepEqual(await earliestDue(database, ['full.test'], now), ago(8));
    assert.deepEqual(await earliestDue(database, ['full.test', 'down.test'], now), ago(-60));
    assert.equal(await earliestDue(database, ['full.test', 'down.test', 'later.test'], now), undefined);
    assert.deepEqual(new Set((await take({ full: ['full.test'] })).map((row) => row.destination)), new Set(['down.test']));
  });

  it('are for domains to be resolved too', async () => {
    const [many, few] = [newUuid(), newUuid()];
    for (let index = 0; index < 50; index++) await put(many, 1, { destination: `~d${index}.test`, dueAt: ago(60) });
    await put(few, 1, { destination: '~other.test' });
    const found = await unresolvedDestinations(database, now, { perTenant: 15, except: ['~d0.test'] });
    assert.equal(found.length, 16);
    assert.ok(found.slice(0, 2).some(({ tenantId, destination }) => tenantId === few && destination === '~other.test'));
    assert.ok(!found.some(({ destination }) => destination === '~d0.test'));
    assert.deepEqual(await take({}), []);
  });

  it('come at once behind any number of suspended tenants', async () => {
    const tenants = Array.from({ length: 300 }, () => newUuid());
    for (const tenant of tenants) await put(tenant, 1);
    const [first = '', middle = '', last = ''] = [tenants[0], tenants[150], tenants.at(-1)];
    await database.pool.query('INSERT INTO suspended_tenant (tenant_id) SELECT unnest($1::uuid[])', [tenants.slice(1, -1)]);
    const rotation = new Rotation();
    const one = async () => (await take({ room: 1, budget: 1, rotation })).map(({ tenantId }) => tenantId);
    assert.deepEqual([await one(), await one(), await one()], [[first], [last], []]);
    // Before where it goes on, too.
    rotation.after = middle;
    await put(first, 1);
    assert.deepEqual([await one(), await one()], [[first], []]);
  });

  it('are not kept for what a suspended tenant has no more', async () => {
    const [held, other] = [newUuid(), newUuid()];
    await put(held, 3, { dueAt: ago(100) });
    await put(held, 2, { destination: '~unknown.test', dueAt: ago(90) });
    await put(held, 1, { destination: 'both.test', dueAt: ago(80) });
    await put(held, 1, { destination: 'both.test', dueAt: ago(10) });
    await put(other, 1, { dueAt: ago(100) });
    await database.pool.query('INSERT INTO suspended_tenant (tenant_id) VALUES ($1)', [held]);
    const url = new URL(databaseUrl);
    url.searchParams.set('options', '-c enable_seqscan=off');
    await using planned = openDatabase({ url: url.href, schema, maxConnections: 1, applicationName: 'test' });
    const scans = async (): Promise<number[]> => {
      for (const { pool } of [database, planned]) await pool.query('SELECT pg_stat_force_next_flush()');
      const { rows } = await planned.pool.query<{ scans: number }>(
        `SELECT idx_scan::int AS scans FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND indexrelname IN ('ready_claimable', 'ready_unresolved') ORDER BY indexrelname`,
      );
      return rows.map((row) => row.scans);
    };
    const before = await scans();
    // In batches of two: six rows end, and no pair is left that is due before.
    for (let changed = 1; changed > 0; ) changed = await giveUpSuspended(planned, ago(50), now, 2);
    const { rows } = await database.pool.query<{ destination: string; at: Date | number }>(
      'SELECT destination, next_due_at AS at FROM ready WHERE tenant_id = $1 ORDER BY destination',
      [held],
    );
    assert.deepEqual(
      rows.map(({ destination, at }) => [destination, at]),
      [
        ['both.test', ago(10)],
        ['example.test', Number.POSITIVE_INFINITY],
        ['~unknown.test', Number.POSITIVE_INFINITY],
      ],
    );
    const left = await database.pool.query('SELECT FROM due WHERE tenant_id = $1', [held]);
    assert.equal(left.rowCount, 1);
    const after = await scans();
    assert.deepEqual(
      after.map((count, index) => count > (before[index] ?? 0)),
      [true, true],
      'both indexes serve',
    );
    assert.equal((await take({})).length, 1);
  });

  interface Take {
    room?: number;
    budget?: number;
    full?: string[];
    rotation?: Rotation;
    turns?: Turns;
    see?(pairs: readonly ReadyPair[]): void;
  }

  async function take({
    room = 100,
    budget = 100,
    full = [],
    rotation = new Rotation(),
    turns = new Turns(),
    see,
  }: Take): Promise<DueRow[]> {
    const holdings = { of: () => 0, at: () => 0, free: 1_000 };
    const rows = await claim(database, {
      ...{ incarnation, now, full, rotation },
      share(pairs) {
        see?.(pairs);
        return share(pairs, budget, () => room, holdings, turns);
      },
    });
    turns.served(rows);
    return rows;
  }

  async function put(tenantId: string, count: number, { destination = 'example.test', dueAt = now } = {}): Promise<void> {
    const rows = Array.from({ length: count }, () => ({
      ...{ messageId: newUuid(), recipientNumber: 0, tenantId, address: `r${number++}@example.test`, domain: 'example.test' },
      ...{ destination, mailFrom: 'a@b.test', signingDomain: '', captured: false, personal: false, sizeBytes: 1 },
      ...{ nextDueAt: dueAt, queuedAt: now, traceparent: undefined },
    }));
    await enqueue(database, rows, now);
  }
});
