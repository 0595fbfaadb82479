import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planStrikes, roleOf } from './plan.ts';

const victims = [
  'auth-1',
  'auth-2',
  'delivery-1',
  'delivery-2',
  'gateway-1',
  'gateway-2',
  'kafka',
  'messaging-1',
  'messaging-2',
  'postgres',
];

test('a seed repeats the plan, another one makes another', () => {
  const plan = (seed: number) => planStrikes({ seed, victims, forMs: 600_000 });
  assert.deepEqual(plan(7), plan(7));
  assert.notDeepEqual(plan(7), plan(8));
});

test('over many seeds: a strike at least every ten seconds, every victim and deed among them, stops longer than any lease', () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    let last = 0;
    for (const { atMs, victim, deed, forMs } of planStrikes({ seed, victims, forMs: 600_000 })) {
      assert.ok(atMs - last <= 10_000, `${atMs - last} ms`);
      last = atMs;
      seen.add(`${deed} ${victim}`);
      if (deed === 'stop' && victim !== 'postgres') assert.ok(forMs >= 12_000 && forMs <= 20_000);
      if (deed === 'stop' && victim === 'postgres') assert.ok(forMs >= 2_000 && forMs <= 4_000);
      if (deed === 'cut') assert.ok(forMs >= 200 && forMs <= 2000);
    }
    assert.ok(last > 590_000);
  }
  assert.equal(seen.size, victims.length * 3);
});

test('of no role two are away at once, nor is one struck that has just come back', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const plan = planStrikes({ seed, victims, forMs: 600_000 });
    for (const [index, strike] of plan.entries())
      for (const earlier of plan.slice(0, index).filter(({ victim }) => roleOf(victim) === roleOf(strike.victim)))
        assert.ok(strike.atMs - (earlier.atMs + earlier.forMs) >= 10_000, `${earlier.victim}, then ${strike.victim}`);
  }
});

test('after a strike on PostgreSQL nobody is struck for nine seconds', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const plan = planStrikes({ seed, victims, forMs: 600_000 });
    for (const [index, strike] of plan.entries())
      if (plan[index - 1]?.victim === 'postgres') assert.ok(strike.atMs - (plan[index - 1]?.atMs ?? 0) >= 9_000);
  }
});

test('a single victim is struck all the same', () => {
  assert.ok(planStrikes({ seed: 1, victims: ['messaging-1'], forMs: 60_000 }).length >= 5);
});
