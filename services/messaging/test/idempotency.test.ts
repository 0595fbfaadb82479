// Idempotency keys: the same request gets the same answer, another one is told so, and two at a time have one effect.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { claim, store } from '@maildoot/db/idempotency';
import { AcceptResult, ResendMessageRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newId, uuidAt, uuidToId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { verifiedForMs } from '../src/sender-domains.ts';
import { createWorld, errorAt, hashOf, outgoing, rpcError, type World } from './world.ts';

let world: World;
const clock = new TestClock();
before(async () => {
  world = await createWorld({ clock });
});
after(() => world[Symbol.asyncDispose]());

const key = (idempotencyKey: string, body = 'body') => ({ idempotencyKey, requestSha256: hashOf(body) });

describe('a key of the request', () => {
  it('replays the whole answer, batch id included, whatever has changed since', async () => {
    const first = await world.accept([{}, { to: [] }], { ...key('r1'), batchId: newId('bat') });
    world.verified.delete(`${world.tenantId} sender.example`);
    await clock.advance(verifiedForMs);
    const second = await world.accept([outgoing(), outgoing()], { ...key('r1'), batchId: newId('bat') });
    world.verified.add(`${world.tenantId} sender.example`);
    assert.equal(first.replayed, false);
    assert.deepEqual(second, { ...first, replayed: true });
  });

  it('with another body is a mismatch, and with another tenant another key', async () => {
    await world.acceptOne({}, key('r2'));
    // Before any check: what is wrong with the other body is of no interest.
    for (const body of [{}, { to: [] }]) {
      await assert.rejects(world.accept(body, key('r2', 'another body')), rpcError('IDEMPOTENCY_MISMATCH'));
    }
    const other = newId('ten');
    world.verified.add(`${other} sender.example`);
    assert.equal((await world.accept({}, key('r2', 'another body'), other)).replayed, false);
  });

  it('under which the gateway asks again with the same ids is no replay: nobody has heard the answer', async () => {
    const message = outgoing();
    const first = await world.accept(message, key('r3'));
    assert.deepEqual(await world.accept(message, key('r3')), first);
    assert.equal(first.replayed, false);
  });

  it('used by many at the same time has one effect', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => world.accept({}, key('r4'))));
    const ids = new Set(
      answers.flatMap((answer) =>
        answer.status === 'fulfilled' ? answer.value.results.map(({ result }) => result?.$case === 'accepted' && result.value.id) : [],
      ),
    );
    assert.equal(ids.size, 1);
    for (const answer of answers)
      if (answer.status === 'rejected') assert.equal((answer.reason as { code: string }).code, 'IDEMPOTENCY_IN_PROGRESS');
    const { rows } = await world.database.pool.query("SELECT FROM idempotency_record WHERE key = 'r4'");
    assert.equal(rows.length, 1);
  });

  it('keeps no failure: the request may be repeated once it is put right', async () => {
    const from = { email: 'x@soon.example', name: '' };
    assert.equal(errorAt(await world.accept({ from }, key('r5')), 0).code, 'DOMAIN_NOT_VERIFIED');
    world.verified.add(`${world.tenantId} soon.example`);
    await world.acceptOne({ from }, key('r5'));
  });

  it('that is none is refused', async () => {
    await assert.rejects(world.accept({}, key('a\0b')), rpcError('VALIDATION_ERROR'));
    await assert.rejects(world.accept({}, key('x'.repeat(256))), rpcError('VALIDATION_ERROR'));
  });
});

it('a key that was used for a test message sends the live one, of a request and of an item', async () => {
  for (const options of [
    { request: key('t1'), item: {} },
    { request: {}, item: key('t2') },
  ]) {
    const idOf = async (test: boolean) => (await world.acceptOne({ ...options.item, test }, options.request)).id;
    const [tried, live] = [await idOf(true), await idOf(false)];
    assert.notEqual(live, tried);
    assert.deepEqual([await idOf(true), await idOf(false)], [tried, live]);
  }
});

it('where only a replay is asked for, what was answered before is answered again, and nothing is accepted', async () => {
  const only = { replayOnly: true };
  const [first, item] = [await world.acceptOne({}, key('o1')), await world.acceptOne({ ...key('o2') })];
  const ids = async (...asked: Parameters<World['accept']>) =>
    (await world.accept(...asked)).results.map(({ result }) => (result?.$case === 'accepted' ? result.value.id : undefined));
  const bare = { from: undefined, to: [], text: '' };
  assert.deepEqual(await ids(bare, { ...key('o1'), ...only }), [first.id]);
  assert.deepEqual(await ids({ ...bare, ...key('o2') }, only), [item.id]);
  assert.deepEqual(await ids([{ ...key('o2') }, { ...key('o3') }], only), [], 'one of them is new');
  assert.deepEqual(await ids({}, { ...key('o4'), ...only }), []);
  await assert.rejects(world.accept({}, { ...key('o1', 'another body'), ...only }), rpcError('IDEMPOTENCY_MISMATCH'));
  assert.equal((await world.accept({}, key('o4'))).replayed, false, 'nothing was kept of it before');
  const again = { newId: newId('msg'), ...key('o5') };
  const resend = (more: object) =>
    world.gateway.resendMessage(ResendMessageRequest.fromPartial({ id: first.id, ...again, ...more }), { tenantId: world.tenantId });
  assert.equal((await resend(only)).accepted, undefined);
  const sent = await resend({});
  assert.deepEqual((await resend({ newId: newId('msg'), ...only })).accepted, sent.accepted);
});

describe('a key of an item', () => {
  it('replays that item in another batch, while the others run', async () => {
    const first = await world.acceptOne({ ...key('i1') });
    const { results, replayed } = await world.accept([{ ...key('i1') }, {}]);
    const [again, fresh] = results.map(({ result }) => (result?.$case === 'accepted' ? result.value : undefined));
    assert.deepEqual(again, first);
    assert.notEqual(fresh?.id, first.id);
    assert.equal(replayed, false);
  });

  it('with another body, or twice in a request, or unusable, fails that item alone', async () => {
    await world.acceptOne({ ...key('i2') });
    const response = await world.accept([{ ...key('i2', 'another') }, { ...key('i3') }, { ...key('i3') }, { ...key('\0') }, {}]);
    assert.deepEqual(
      response.results.map(({ result }) => result?.$case),
      ['error', 'accepted', 'error', 'error', 'accepted'],
    );
    assert.equal(errorAt(response, 0).code, 'IDEMPOTENCY_MISMATCH');
    assert.deepEqual(
      errorAt(response, 2).issues.map((issue) => [issue.path, issue.code]),
      [['idempotency_key', 'duplicate']],
    );
    assert.equal(errorAt(response, 3).code, 'VALIDATION_ERROR');
  });

  it('held by a request that has not committed yet is in progress', async () => {
    const client = await world.database.pool.connect();
    try {
      // Another pod that is just now committing the same key.
      await client.query('BEGIN');
      const tenantId = idToUuid('ten', world.tenantId)!;
      await claim(client, [{ tenantId, operation: 'messages.item', key: 'i4', requestHash: hashOf('body') }]);
      const response = await world.accept([{ ...key('i4') }, {}]);
      assert.equal(errorAt(response, 0).code, 'IDEMPOTENCY_IN_PROGRESS');
      assert.equal(response.results[1]?.result?.$case, 'accepted');
      await assert.rejects(world.accept([{ ...key('i4') }, {}], { atomic: true }), rpcError('IDEMPOTENCY_IN_PROGRESS'));
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    await world.acceptOne({ ...key('i4') });
  });

  it('held by a request that ends within a moment is waited for, and replays', async () => {
    const first = await world.acceptOne({});
    const client = await world.database.pool.connect();
    try {
      await client.query('BEGIN');
      const request = { tenantId: idToUuid('ten', world.tenantId)!, operation: 'messages.item', key: 'i5', requestHash: hashOf('body') };
      await claim(client, [request]);
      const held = world.accept([{ ...key('i5') }, {}]);
      // The other item doesn't wait: by the time that this one is through, the held one has met the lock.
      await world.acceptOne({});
      await store(client, [
        { ...request, response: AcceptResult.encode({ result: { $case: 'accepted', value: first }, replayed: false }).finish() },
      ]);
      await client.query('COMMIT');
      const [again, fresh] = (await held).results.map(({ result }) => (result?.$case === 'accepted' ? result.value.id : undefined));
      assert.equal(again, first.id);
      assert.ok(fresh !== undefined && fresh !== first.id);
      const { rows } = await world.database.pool.query('SELECT id FROM message WHERE id = $1', [idToUuid('msg', fresh)]);
      assert.equal(rows.length, 1);
    } finally {
      client.release();
    }
  });

  it('that fails while it is waited for takes nothing back from the items that are kept', async () => {
    const { pool } = world.database;
    const client = await pool.connect();
    const fresh = outgoing();
    try {
      await client.query('BEGIN');
      const tenantId = idToUuid('ten', world.tenantId)!;
      await claim(client, [{ tenantId, operation: 'messages.item', key: 'i6', requestHash: hashOf('body') }]);
      const held = world.accept([{ ...key('i6') }, fresh]);
      const isKept = async () => (await pool.query('SELECT FROM message WHERE id = $1', [idToUuid('msg', fresh.id)])).rows.length === 1;
      await waitFor(isKept, { what: 'the item that waits for nobody' });
      // Its turn comes now, and the database can't take it.
      await pool.query('ALTER TABLE message RENAME TO message_away');
      await client.query('ROLLBACK');
      const response = await held;
      assert.equal(errorAt(response, 0).code, 'IDEMPOTENCY_IN_PROGRESS');
      assert.equal(response.results[1]?.result?.$case, 'accepted');
    } finally {
      client.release();
      await pool.query('ALTER TABLE IF EXISTS message_away RENAME TO message');
    }
    await world.acceptOne({ ...key('i6') });
  });
});

it('a key is forgotten after 24 hours', async () => {
  const time = new TestClock();
  await using own = await createWorld({ clock: time });
  // Ids carry their time, which must be that of this clock.
  const message = () => ({ id: uuidToId('msg', uuidAt(time.now())) });
  const first = await own.acceptOne(message(), key('r6'));
  await time.advance(86_400_000 - 1);
  assert.equal((await own.accept(message(), key('r6'))).replayed, true);
  await time.advance(1);
  const again = await own.acceptOne(message(), key('r6'));
  assert.notEqual(again.id, first.id);
});
