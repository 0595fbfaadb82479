// Whose a row is, at the store: what a pod does after its time was up, or does twice because an answer was lost, changes nothing of others.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { ensurePartitions } from '@maildoot/db/partitions';
import { newUuid } from '@maildoot/runtime/ids';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { migrations, schema } from '../src/service.ts';
import { claim, type DueRow, enqueue, giveBack, Rotation } from '../src/store/due.ts';
import { heartbeat, registerIncarnation, releaseExpired } from '../src/store/incarnation.ts';

describe('a row’s owner', () => {
  const cleanup = new AsyncDisposableStack();
  let database: Database;
  const tenantId = newUuid();
  const said = { applied: [], over: {} };

  before(async () => {
    const { url } = cleanup.use(await createTestDatabase({ template: tablesOf({ [schema]: migrations }) }));
    await migrate({ url, schema, migrations });
    database = cleanup.use(openDatabase({ url, schema, maxConnections: 4, applicationName: 'test' }));
    for (const [table, by] of [
      ['ledger', 'uuidv7'],
      ['attempt', 'timestamp'],
      ['outbox', 'uuidv7'],
    ] as const)
      await ensurePartitions(database.pool, { table, by, aheadDays: 1 });
  });
  after(() => cleanup.disposeAsync());
  beforeEach(async () => {
    for (const table of ['due', 'ready', 'incarnation']) await database.pool.query(`DELETE FROM ${table}`);
  });

  it('is dead for good with the first row that was freed, however many are left', async () => {
    const [first, second] = [await pod(), await pod()];
    // More than one batch of the release.
    await put(600);
    assert.equal((await claimAll(first)).length, 600);
    await database.pool.query("UPDATE incarnation SET heartbeat_at = now() - interval '11 seconds' WHERE id = $1", [first]);
    const freed = await releaseExpired(database, new Date());
    assert.equal(freed.length, 500);
    assert.equal(await heartbeat(database, first, said), undefined);
    assert.deepEqual(await claimAll(first), []);
    assert.equal((await releaseExpired(database, new Date())).length, 100);
    assert.equal(await heartbeat(database, first, said), undefined);
    assert.equal((await claimAll(second)).length, 600);
    assert.deepEqual(await heartbeat(database, second, said), []);
  });

  it('keeps it while silence says nothing, unless it is known to be dead', async () => {
    const [first, second] = [await pod(), await pod()];
    await put(2);
    assert.equal((await claimAll(first)).length, 2);
    await database.pool.query("UPDATE incarnation SET heartbeat_at = now() - interval '40 seconds'");
    assert.deepEqual(await releaseExpired(database, new Date(), false), []);
    for (const one of [first, second]) assert.notEqual(await heartbeat(database, one, said), undefined);
    await database.pool.query("UPDATE incarnation SET heartbeat_at = '-infinity' WHERE id = $1", [first]);
    assert.equal((await releaseExpired(database, new Date(), false)).length, 2);
    assert.equal((await claimAll(second)).length, 2);
  });

  it('keeps the row when an earlier claim of the same pod is given back once more', async () => {
    const [first, second] = [await pod(), await pod()];
    await put(1);
    const earlier = await claimAll(first);
    await giveBack(database, earlier);
    const [row] = await claimAll(first);
    assert.equal(row?.attempt, 1);
    // The answer to the first one was lost.
    await giveBack(database, earlier);
    assert.deepEqual(await claimAll(second), []);
    await giveBack(database, [row]);
    assert.equal((await claimAll(second))[0]?.attempt, 1);
  });

  async function pod(): Promise<string> {
    const id = newUuid();
    await registerIncarnation(database, id);
    return id;
  }

  async function put(count: number): Promise<void> {
    const messageId = newUuid();
    const now = new Date();
    const rows = Array.from({ length: count }, (_, recipientNumber) => ({
      ...{ messageId, recipientNumber, tenantId, address: `r${recipientNumber}@example.test`, domain: 'example.test' },
      ...{ destination: 'example.test', mailFrom: 'a@b.test', signingDomain: '', captured: false, personal: false, sizeBytes: 1 },
      ...{ nextDueAt: now, queuedAt: now, traceparent: undefined },
    }));
    await enqueue(database, rows, now);
  }

  async function claimAll(incarnation: string): Promise<DueRow[]> {
    const take = 1_000;
    return await claim(database, {
      incarnation,
      now: new Date(),
      full: [],
      rotation: new Rotation(),
      share: (pairs) => pairs.map((pair) => ({ ...pair, take })),
    });
  }
});
