import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger } from '@maildoot/runtime/logger';
import { Incarnation, patienceMs, validMs } from './incarnation.ts';
import { Shares } from './shares.ts';

describe('Incarnation', () => {
  it('may start work for eight seconds from sending a heartbeat that was answered, however late the answer came', async () => {
    const house = make();
    await house.incarnation.beat();
    const id = house.incarnation.current;
    assert.equal(id, 'id-1');
    house.nowMs = 3_000;
    house.answerAfterMs = 4_000;
    await house.incarnation.beat();
    assert.equal(house.nowMs, 7_000);
    house.nowMs = 3_000 + validMs - 1;
    assert.equal(house.incarnation.mayStart(id), true);
    house.nowMs = 3_000 + validMs;
    assert.equal(house.incarnation.mayStart(id), false);
    assert.equal(house.incarnation.current, undefined);
  });

  it('starts nothing while the heartbeat fails, and goes on under the same id when nobody declared it dead', async () => {
    const house = make();
    await house.incarnation.beat();
    house.failing = true;
    house.nowMs = 9_000;
    await assert.rejects(house.incarnation.beat());
    assert.equal(house.incarnation.current, undefined);
    house.failing = false;
    await house.incarnation.beat();
    assert.equal(house.incarnation.current, 'id-1');
  });

  it('judges the silence of others only after it was heard for ten seconds without a break itself', async () => {
    const house = make();
    const beatUntil = async (ms: number) => {
      for (; house.nowMs <= ms; house.nowMs += 2_000) await house.incarnation.beat();
    };
    assert.equal(house.incarnation.mayJudge, false);
    await beatUntil(8_000);
    assert.equal(house.incarnation.mayJudge, true);
    // The database was away: everybody is silent.
    house.nowMs = 40_000;
    assert.equal(house.incarnation.mayJudge, false);
    await beatUntil(48_000);
    house.nowMs = 49_999;
    assert.equal(house.incarnation.mayJudge, false);
    house.nowMs = 50_000;
    assert.equal(house.incarnation.mayJudge, true);
    // A heartbeat that was on its way all the time says as little as none.
    house.answerAfterMs = 12_000;
    await house.incarnation.beat();
    assert.equal(house.incarnation.mayJudge, false);
  });

  it('becomes another one when it was declared dead: work of the old id may not be started', async () => {
    const house = make();
    await house.incarnation.beat();
    house.alive.clear();
    await house.incarnation.beat();
    assert.equal(house.incarnation.current, 'id-2');
    assert.equal(house.incarnation.mayStart('id-1'), false);
    assert.deepEqual(house.dead, ['id-1']);
  });

  it('takes another id only when what it handed over under the old one has ended, or after half a minute', async () => {
    const house = make();
    await house.incarnation.beat();
    house.alive.clear();
    house.underWay = 1;
    await house.incarnation.beat();
    assert.equal(house.incarnation.id, undefined);
    assert.equal(house.incarnation.mayStart('id-1'), false);
    house.nowMs = 2_000;
    await house.incarnation.beat();
    assert.equal(house.incarnation.current, undefined);
    house.underWay = 0;
    await house.incarnation.beat();
    assert.equal(house.incarnation.current, 'id-2');
    assert.deepEqual(house.dead, ['id-1']);
    house.alive.clear();
    house.underWay = 1;
    await house.incarnation.beat();
    house.nowMs += patienceMs;
    await house.incarnation.beat();
    assert.equal(house.incarnation.current, 'id-3');
  });

  it('may start nothing before the first heartbeat', () => {
    const { incarnation } = make();
    assert.equal(incarnation.current, undefined);
    assert.equal(incarnation.mayStart(undefined), false);
  });
});

function make() {
  const state = { nowMs: 0, answerAfterMs: 0, failing: false, alive: new Set<string>(), dead: [] as string[], made: 0, underWay: 0 };
  const answer = () => {
    if (state.failing) throw new Error('no connection');
    state.nowMs += state.answerAfterMs;
  };
  const incarnation = new Incarnation({
    heartbeats: {
      async register(id) {
        answer();
        state.alive.add(id);
      },
      async beat(id) {
        answer();
        return state.alive.has(id) ? [] : undefined;
      },
    },
    shares: new Shares(),
    over: () => ({}),
    sharesChanged: () => undefined,
    tellPeers: () => undefined,
    logger: createLogger({ service: 'test', level: 'silent' }),
    newUuid: () => `id-${++state.made}`,
    monotonicMs: () => state.nowMs,
    underWay: () => state.underWay,
    onDead: (id) => state.dead.push(id),
  });
  return Object.assign(state, { incarnation });
}
