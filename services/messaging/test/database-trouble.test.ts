// The database goes away: before a commit, in the middle of it, for a while. What was answered is there, what is not there was not answered.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { RpcError } from '@maildoot/rpc/errors';
import { waitFor } from '@maildoot/testkit/wait';
import { type PostgresProxy, startPostgresProxy } from './postgres-proxy.ts';
import { createWorld, hashOf, outgoing, rpcError, type World } from './world.ts';

let world: World;
let proxy: PostgresProxy;
before(async () => {
  world = await createWorld({
    serviceDatabaseUrl: async (url) => {
      proxy = await startPostgresProxy(url);
      return proxy.url;
    },
  });
  await world.acceptOne();
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

describe('a connection lost during the commit', () => {
  it('after the server has committed: the message is found, and accepted', async () => {
    proxy.breakNextCommit('after');
    const message = outgoing();
    const accepted = await world.acceptOne(message);
    assert.equal(proxy.broken, 1);
    assert.equal(accepted.id, message.id);
    assert.equal((await world.get(message.id)).message?.id, message.id);
    assert.equal((await world.outboxOf(message.id)).length, 1);
  });

  it('before the server has heard of it: the message is not found, and the answer says so', async () => {
    const brokenBefore = proxy.broken;
    proxy.breakNextCommit('before');
    const message = outgoing();
    await assert.rejects(world.accept(message), (error: RpcError) => error.code === 'UNAVAILABLE' && error.retryAfterMs === 5000);
    assert.equal(proxy.broken, brokenBefore + 1);
    await assert.rejects(world.get(message.id), rpcError('NOT_FOUND'));
    // The gateway asks again with the same id.
    await world.acceptOne(message);
    assert.equal((await world.outboxOf(message.id)).length, 1);
  });

  it('while the server is at it: the message is found as soon as it is there', async () => {
    const brokenBefore = proxy.broken;
    const lock = await world.database.pool.connect();
    try {
      await lock.query('BEGIN');
      await lock.query('LOCK TABLE content IN EXCLUSIVE MODE');
      proxy.breakNextCommit('during');
      const message = outgoing();
      const answer = world.acceptOne(message);
      await waitFor(() => (proxy.broken > brokenBefore ? true : undefined), { what: 'the connection to be broken' });
      assert.equal((await world.outboxOf(message.id)).length, 0);
      await lock.query('ROLLBACK');
      assert.equal((await answer).id, message.id);
      assert.equal((await world.outboxOf(message.id)).length, 1);
    } finally {
      lock.release(true);
    }
  });

  for (const [keys, item] of [
    ['an idempotency key', {}],
    ['several idempotency keys', { idempotencyKey: 'k1-item', requestSha256: hashOf('item') }],
  ] as const) {
    it(`with ${keys}: asking again gives the answer, once`, async () => {
      const brokenBefore = proxy.broken;
      proxy.breakNextCommit('after');
      const message = { ...outgoing(), ...item };
      const key = { idempotencyKey: `k1 ${keys}`, requestSha256: hashOf('x') };
      const first = await world.accept(message, key);
      assert.equal(proxy.broken, brokenBefore + 1);
      assert.deepEqual(await world.accept(message, key), first);
      assert.equal((await world.accept({ ...outgoing(), ...item }, key)).replayed, true);
      assert.equal((await world.outboxOf(message.id)).length, 1);
    });
  }

  it('of many requests together: each is answered by what is there', async () => {
    for (const when of ['after', 'before'] as const) {
      const messages = Array.from({ length: 40 }, () => outgoing());
      proxy.breakNextCommit(when);
      const answers = await Promise.allSettled(messages.map((message) => world.accept(message)));
      for (const [index, answer] of answers.entries()) {
        const there = (await world.outboxOf(messages[index]!.id)).length;
        assert.equal(
          there,
          answer.status === 'fulfilled' ? 1 : 0,
          `${when}: message ${index} was ${answer.status}, ${there} in the outbox`,
        );
      }
      assert.equal(
        answers.some((answer) => answer.status === 'rejected'),
        when === 'before',
      );
    }
  });
});

describe('a database that is down', () => {
  it('is UNAVAILABLE before the caller gives up, for sending and reading, and all works again when it is back', async () => {
    const message = outgoing();
    const { id } = await world.acceptOne();
    await proxy.down();
    for (const call of [
      () => world.accept(message),
      () => world.get(id),
      // A caller that gives up sooner than the pool, which tries to connect for five seconds.
      () => world.gateway.getMessage({ id }, { tenantId: world.tenantId, requestId: 'req_impatient', deadlineMs: 4_000 }),
      () => world.list(),
      () => world.content(id),
      () => world.accept({}, { idempotencyKey: 'k', requestSha256: hashOf('x') }),
    ]) {
      // Had the service waited for the database until the caller gave up, it would be the caller's TIMEOUT; had it passed the
      // database's error on, INTERNAL_ERROR. Without the service's own time to retry it would be the client that can't reach the service.
      await assert.rejects(call(), (error: RpcError) => {
        assert.ok(error instanceof RpcError);
        const { code, status, retryable, remote, retryAfterMs } = error;
        assert.deepEqual(
          { code, status, retryable, remote, retryAfterMs },
          { code: 'UNAVAILABLE', status: 'UNAVAILABLE', retryable: true, remote: true, retryAfterMs: 5000 },
        );
        return true;
      });
    }
    await proxy.up();
    await waitFor(async () => (await world.accept(message)).results[0], { what: 'accepting again' });
    assert.equal((await world.outboxOf(message.id)).length, 1);
    // The sequencer found its way back as well: what was accepted gets its position.
    await waitFor(
      async () =>
        (await world.database.pool.query('SELECT FROM outbox WHERE key = $1 AND position IS NOT NULL', [message.id])).rowCount === 1,
      { what: 'the outbox row to be sequenced' },
    );
  });
});
