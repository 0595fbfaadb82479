// A tenant's pace: what is sent faster is accepted, says when it goes, and goes then; only a full backlog is refused.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { createWorld, rpcError, type World } from './world.ts';

const clock = new TestClock();
let world: World;
before(async () => {
  // One a second, sixty at once, and thirty may wait.
  world = await createWorld({ clock, env: { TENANT_PACE: '60', TENANT_BACKLOG: '30' } });
});
after(() => world[Symbol.asyncDispose]());

const to = (count: number) => Array.from({ length: count }, (_, number) => ({ email: `r${number}@rcpt.example`, name: '' }));

describe('a tenant’s pace', () => {
  it('lets a minute’s worth go at once, and gives each message after that its time', async () => {
    const first = await world.acceptOne({ to: to(50) });
    assert.deepEqual(first.estimatedSendAt, first.createdAt);
    const [event] = await world.outboxOf(first.id);
    assert.equal(event?.sendAt, undefined);

    const { results } = await world.accept([{ to: to(10) }, { to: to(5) }, { to: to(5) }]);
    const accepted = results.map(({ result }) => (result?.$case === 'accepted' ? result.value : assert.fail('all are accepted')));
    assert.deepEqual(
      accepted.map((one) => one.estimatedSendAt?.getTime()),
      [accepted[0]?.createdAt?.getTime(), accepted[1]?.createdAt?.getTime(), clock.now().getTime() + 5_000],
    );
    const events = await Promise.all(accepted.map(({ id }) => world.outboxOf(id)));
    assert.deepEqual(
      events.map(([one]) => one?.sendAt),
      [undefined, undefined, new Date(clock.now().getTime() + 5_000)],
    );
  });

  it('refuses what the backlog has no room for, all of it, and takes as much as there is room for', async () => {
    await assert.rejects(world.accept({ to: to(21) }), rpcError('RATE_LIMITED'));
    const last = await world.acceptOne({ to: to(20) });
    assert.deepEqual(last.estimatedSendAt, new Date(clock.now().getTime() + 10_000));
    await assert.rejects(world.accept({ to: to(1) }), rpcError('RATE_LIMITED'));
  });

  it('takes a request larger than the backlog when nothing waits, since it would never fit', async () => {
    const other = newId('ten');
    world.verified.add(`${other} sender.example`);
    await world.acceptOne({ to: to(59) }, {}, other);
    const large = await world.acceptOne({ to: to(200) }, {}, other);
    assert.deepEqual(large.estimatedSendAt, large.createdAt);
    await assert.rejects(world.accept({ to: to(1) }, {}, other), rpcError('RATE_LIMITED'));
  });

  it('goes on as time passes', async () => {
    await clock.advance(1_000);
    const one = await world.acceptOne({ to: to(1) });
    assert.deepEqual(one.estimatedSendAt, new Date(clock.now().getTime() + 29_000));
    await clock.advance(3_600_000);
    const later = await world.acceptOne({ to: to(60) });
    assert.deepEqual(later.estimatedSendAt, later.createdAt);
  });

  it('counts nothing that was not accepted, was accepted before, or has a time of its own', async () => {
    await clock.advance(3_600_000);
    const key = { idempotencyKey: 'once' };
    const first = await world.accept({ to: to(60) }, key);
    assert.equal(first.results[0]?.result?.$case, 'accepted');
    assert.equal((await world.accept({ to: to(60) }, key)).replayed, true);
    await world.accept({ to: to(30), from: { email: 'a@elsewhere.example', name: '' } }).catch(() => undefined);
    await world.acceptOne({ to: to(30), sendAt: new Date(clock.now().getTime() + 600_000) });
    const next = await world.acceptOne({ to: to(1) });
    assert.deepEqual(next.estimatedSendAt, next.createdAt);
  });

  it('is each tenant’s own', async () => {
    const other = newId('ten');
    world.verified.add(`${other} sender.example`);
    await assert.rejects(world.accept({ to: to(31) }), rpcError('RATE_LIMITED'));
    const theirs = await world.acceptOne({ to: to(31) }, {}, other);
    assert.deepEqual(theirs.estimatedSendAt, theirs.createdAt);
  });
});
