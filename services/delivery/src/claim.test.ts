import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { share, Turns } from './claim.ts';

const pair = (tenantId: string, destination = 'example.test') => ({ destination, tenantId });
const unlimited = () => 1_000;
const never = { last: () => 0 };
const holding = (held: Record<string, number> = {}, free = 1_000) => ({
  of: (tenantId: string) => held[tenantId] ?? 0,
  at: (destination: string, tenantId: string) => held[`${destination} ${tenantId}`] ?? 0,
  free,
});
const takes = (shares: readonly { take: number }[]) => shares.map((one) => one.take);

describe('share', () => {
  it('gives every tenant the same', () => {
    assert.deepEqual(takes(share([pair('a'), pair('b'), pair('c'), pair('d')], 100, unlimited, holding(), never)), [25, 25, 25, 25]);
  });

  it('gives a tenant the same, to however many destinations it writes', () => {
    const pairs = [...['u', 'v', 'w', 'x'].map((destination) => pair('a', destination)), pair('b', 'y')];
    assert.deepEqual(takes(share(pairs, 40, unlimited, holding(), never)), [5, 5, 5, 5, 20]);
  });

  it('gives what is left of a destination to who has the least on its way there', () => {
    const pairs = [pair('a', 'x'), pair('b', 'x')];
    assert.deepEqual(takes(share(pairs, 100, () => 12, holding({ a: 90, 'x a': 20, b: 30, 'x b': 12 }), never)), [2, 10]);
  });

  it('starts with who was served longest ago', () => {
    const turns = new Turns();
    turns.served([{ tenantId: 'a' }, { tenantId: 'b' }]);
    turns.served([{ tenantId: 'a' }]);
    assert.deepEqual(takes(share([pair('a'), pair('b'), pair('c')], 2, unlimited, holding(), turns)), [0, 1, 1]);
  });

  it('leaves room for who comes, and lets one that is alone have most of it', () => {
    const pairs = [pair('a')];
    assert.deepEqual(takes(share(pairs, 1_000, unlimited, holding(), never)), [800]);
    assert.deepEqual(takes(share(pairs, 100, unlimited, holding({ a: 800 }, 200), never)), [0]);
    assert.deepEqual(takes(share([...pairs, pair('b')], 100, unlimited, holding({ a: 800 }, 200), never)), [0, 100]);
  });

  it('takes no more than a destination has room for, all tenants together', () => {
    const pairs = [pair('a', 'x'), pair('b', 'x'), pair('a', 'y')];
    assert.deepEqual(takes(share(pairs, 90, (destination) => (destination === 'x' ? 10 : 90), holding(), never)), [5, 5, 80]);
  });

  it('never takes more than the claim, the room or what may be held allows, and leaves nothing that could be taken', () => {
    const pairs = fc.array(fc.record({ destination: fc.constantFrom('x', 'y'), tenantId: fc.constantFrom('a', 'b', 'c') }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(pairs, fc.nat(100), fc.nat(50), fc.nat(60), (given, budget, room, free) => {
        const unique = [...new Map(given.map((one) => [`${one.destination}${one.tenantId}`, one])).values()];
        const shares = share(unique, budget, () => room, holding({}, free), never);
        assert.equal(shares.length, unique.length);
        const sum = (some: readonly { take: number }[]) => some.reduce((all, one) => all + one.take, 0);
        assert.ok(sum(shares) <= Math.min(budget, free));
        const byDestination = [...Map.groupBy(shares, (one) => one.destination).values()].map(sum);
        for (const taken of byDestination) assert.ok(taken <= room);
        const isBound = sum(shares) === budget || byDestination.every((taken) => taken === room);
        // Or each holds four times what is left.
        const left = free - sum(shares);
        const byTenant = [...Map.groupBy(shares, (one) => one.tenantId).values()].map(sum);
        assert.ok(isBound || byTenant.every((taken) => taken >= 4 * left) || byDestination.some((taken) => taken === room));
      }),
    );
  });

  it('serves tenants alike over many claims, however many rows one of them has', () => {
    const waiting = new Map([
      ['big', 100_000],
      ['small', 300],
      ['medium', 1_000],
    ]);
    const turns = new Turns();
    const servedAt = new Map<string, number>();
    for (let round = 1; round <= 40; round++) {
      const ready = [...waiting].filter(([, rows]) => rows > 0).map(([tenant]) => pair(tenant));
      const shares = share(ready, 50, unlimited, holding(), turns);
      turns.served(shares.filter(({ take }) => take > 0));
      for (const one of shares) {
        const rows = waiting.get(one.tenantId) ?? 0;
        const served = Math.min(one.take, rows);
        waiting.set(one.tenantId, rows - served);
        if (rows > 0 && rows === served) servedAt.set(one.tenantId, round);
      }
    }
    // 300 rows at a third of 50 per claim.
    assert.ok((servedAt.get('small') ?? 99) <= 19, `the small one was done after ${servedAt.get('small')} claims`);
  });
});
