import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Lanes } from './lanes.ts';

describe('Lanes', () => {
  it('runs so many per destination and so many in all, and lets destinations take turns', async () => {
    const house = make({ maxSessions: 3, maxSessionsPerDestination: 2 });
    for (let number = 0; number < 4; number++) house.add('x', `x${number}`);
    house.add('y', 'y0');
    await house.settle();
    assert.deepEqual(house.running, ['x0', 'x1', 'y0']);
    assert.equal(house.peak.get('x'), 2);
    house.finish('x0');
    await house.settle();
    assert.deepEqual(house.running, ['x1', 'y0', 'x2']);
  });

  it('lets tenants take turns in a lane, whoever came first and with however many', async () => {
    const house = make({ maxSessions: 10, maxSessionsPerDestination: 2 });
    for (let number = 0; number < 5; number++) house.add('x', `xa${number}`, undefined, 'a');
    for (let number = 0; number < 2; number++) house.add('x', `xb${number}`, undefined, 'b');
    await house.settle();
    assert.deepEqual(house.running, ['xa0', 'xa1']);
    house.finish('xa0');
    await house.settle();
    assert.deepEqual(house.running, ['xa1', 'xb0']);
    house.finish('xb0');
    await house.settle();
    assert.deepEqual(house.running, ['xa1', 'xb1']);
    house.finish('xa1');
    await house.settle();
    assert.deepEqual(house.running, ['xb1', 'xa2']);
  });

  it('gives a session that is free to the tenant that has the fewest, however many lanes another one waits in', async () => {
    const house = make({ maxSessions: 4, maxSessionsPerDestination: 2 });
    for (const lane of ['u', 'v', 'w', 'x']) for (let number = 0; number < 2; number++) house.add(lane, `${lane}${number}`, undefined, 'a');
    await house.settle();
    assert.deepEqual(house.running, ['u0', 'u1', 'v0', 'v1']);
    house.add('y', 'y0', undefined, 'b');
    house.add('y', 'y1', undefined, 'b');
    await house.settle();
    house.finish('u0');
    await house.settle();
    house.finish('v0');
    await house.settle();
    assert.deepEqual(house.running, ['u1', 'v1', 'y0', 'y1']);
  });

  it('keeps a session for who comes, where there are many', async () => {
    const house = make({ maxSessions: 50, maxSessionsPerDestination: 50 });
    for (let number = 0; number < 60; number++) house.add('x', `x${number}`, undefined, 'a');
    await house.settle();
    assert.equal(house.running.length, 48);
    house.add('y', 'y0', undefined, 'b');
    await house.settle();
    assert.equal(house.running.at(-1), 'y0');
  });

  it('starts a job only when what it waits for is there', async () => {
    const house = make({ maxSessions: 1, maxSessionsPerDestination: 1 });
    const { promise, resolve } = Promise.withResolvers<void>();
    house.add('x', 'later', promise);
    house.add('x', 'now');
    await house.settle();
    assert.deepEqual(house.running, ['now']);
    house.finish('now');
    resolve();
    await house.settle();
    assert.deepEqual(house.running, ['later']);
  });

  it('has room for one row per session at first, and says so only by the dozen', async () => {
    const house = make({ maxSessions: 100, maxSessionsPerDestination: 20 });
    assert.equal(house.lanes.room('x'), 20);
    for (let number = 0; number < 18; number++) house.add('x', `x${number}`);
    assert.equal(house.lanes.room('x'), 0);
    assert.deepEqual(house.lanes.full(), ['x']);
    await house.settle();
    for (let number = 0; number < 18; number++) house.finish(`x${number}`);
    await house.settle();
    // It got 18 rows done within a moment, so it may have more in stock.
    assert.equal(house.lanes.room('x'), 36);
  });

  it('follows a limit that changes, and gives back what waits where it may have no session any more', async () => {
    const house = make({ maxSessions: 10, maxSessionsPerDestination: 2 });
    for (let number = 0; number < 4; number++) house.add('x', `x${number}`);
    await house.settle();
    assert.deepEqual(house.running, ['x0', 'x1']);
    house.limit.now = 1;
    house.lanes.limitsChanged();
    house.finish('x0');
    await house.settle();
    assert.deepEqual(house.running, ['x1']);
    house.limit.now = 0;
    house.lanes.limitsChanged();
    assert.deepEqual(house.givenBack, ['x2', 'x3']);
    assert.equal(house.lanes.room('y'), 0);
    assert.deepEqual(house.lanes.full().sort(), ['x', 'y']);
    house.limit.now = 3;
    house.lanes.limitsChanged();
    assert.deepEqual(house.lanes.full(), []);
    assert.equal(house.lanes.room('y'), 3);
  });

  it('at a stop runs what waits, which gives its rows back, and ends when all have', async () => {
    const house = make({ maxSessions: 1, maxSessionsPerDestination: 1 });
    for (let number = 0; number < 2; number++) house.add('x', `x${number}`);
    house.add('x', 'x2', new Promise(() => undefined));
    await house.settle();
    const stopped = house.lanes.stop();
    await house.settle();
    assert.deepEqual(house.running, ['x0', 'x1', 'x2']);
    for (const name of [...house.running]) house.finish(name);
    await stopped;
    assert.equal(house.lanes.rows, 0);
    assert.equal(house.lanes.room('x'), 0);
  });

  it('keeps nothing of a message that is through', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const house = make({ maxSessions: 10, maxSessionsPerDestination: 10 });
    const bytes = Array.from({ length: 20 }, (_, number) => {
      const content = Buffer.alloc(10_000);
      house.add('x', `x${number}`, Promise.resolve(content));
      return new WeakRef(content);
    });
    for (let number = 0; number < 20; number++) {
      await house.settle();
      house.finish(`x${number}`);
    }
    await house.settle();
    collect();
    assert.equal(bytes.filter((one) => one.deref() !== undefined).length, 0);
  });
});

function make({ maxSessions, maxSessionsPerDestination }: { maxSessions: number; maxSessionsPerDestination: number }) {
  const limit = { now: maxSessionsPerDestination };
  const givenBack: string[] = [];
  const running: string[] = [];
  const ends = new Map<string, () => void>();
  const peak = new Map<string, number>();
  const lanes = new Lanes({ maxSessions, sessionsFor: () => limit.now, onRoom: () => undefined });
  return {
    lanes,
    limit,
    givenBack,
    running,
    peak,
    add(destination: string, name: string, ready: Promise<unknown> = Promise.resolve(), tenantId = 'a') {
      const run = async (): Promise<void> => {
        running.push(name);
        peak.set(destination, Math.max(peak.get(destination) ?? 0, running.filter((one) => one.startsWith(destination)).length));
        await new Promise<void>((resolve) => ends.set(name, resolve));
        running.splice(running.indexOf(name), 1);
      };
      lanes.add(destination, { tenantId, rows: 1, run, giveBack: () => givenBack.push(name) }, ready);
    },
    finish: (name: string) => ends.get(name)?.(),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
  };
}
