import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { share } from './claim.ts';

const pair = (tenantId: string, deficit = 0, destination = 'example.test') => ({ destination, tenantId, deficit });
const unlimited = () => 1_000;

describe('share', () => {
  it('gives every tenant the same', () => {
    const shares = share([pair('a'), pair('b'), pair('c'), pair('d')], 100, unlimited);
    assert.deepEqual(
      shares.map((one) => one.take),
      [25, 25, 25, 25],
    );
  });

  it('keeps the credit of those for whom the claim had no room', () => {
    const shares = share([pair('a'), pair('b'), pair('c')], 2, unlimited);
    assert.deepEqual(
      shares.map((one) => [one.tenantId, one.take, one.credit]),
      [
        ['a', 1, 1],
        ['b', 1, 1],
        ['c', 0, 1],
      ],
    );
  });

  it('lets credit be used, up to a limit', () => {
    const [first, second] = share([pair('a', 30), pair('b', 100_000)], 100, unlimited);
    assert.deepEqual([first?.take, first?.credit], [80, 80]);
    assert.deepEqual([second?.take, second?.credit], [20, 200]);
  });

  it('takes no more than a destination has room for, all tenants together', () => {
    const pairs = [pair('a', 0, 'x'), pair('b', 0, 'x'), pair('a', 0, 'y')];
    const shares = share(pairs, 90, (destination) => (destination === 'x' ? 10 : 90));
    assert.deepEqual(
      shares.map((one) => one.take),
      [10, 0, 30],
    );
  });

  it('never takes more than the claim, the room or the credit allows', () => {
    const pairs = fc.array(fc.record({ destination: fc.constantFrom('x', 'y'), tenantId: fc.string(), deficit: fc.nat(300) }), {
      maxLength: 64,
    });
    fc.assert(
      fc.property(pairs, fc.nat(100), fc.nat(50), (given, budget, room) => {
        const shares = share(given, budget, () => room);
        assert.equal(shares.length, given.length);
        assert.ok(shares.reduce((sum, one) => sum + one.take, 0) <= budget);
        for (const destination of ['x', 'y']) {
          assert.ok(shares.filter((one) => one.destination === destination).reduce((sum, one) => sum + one.take, 0) <= room);
        }
        for (const one of shares) assert.ok(one.take >= 0 && one.take <= one.credit);
      }),
    );
  });

  it('serves tenants alike over many claims, however many rows one of them has', () => {
    const waiting = new Map([
      ['big', 100_000],
      ['small', 300],
      ['medium', 1_000],
    ]);
    const deficits = new Map([...waiting.keys()].map((tenant) => [tenant, 0]));
    const servedAt = new Map<string, number>();
    for (let round = 1; round <= 40; round++) {
      const ready = [...waiting].filter(([, rows]) => rows > 0).map(([tenant]) => pair(tenant, deficits.get(tenant)));
      for (const one of share(
        ready.sort((a, b) => b.deficit - a.deficit),
        50,
        unlimited,
      )) {
        const rows = waiting.get(one.tenantId) ?? 0;
        const served = Math.min(one.take, rows);
        waiting.set(one.tenantId, rows - served);
        deficits.set(one.tenantId, served < one.take ? 0 : one.credit - served);
        if (rows > 0 && rows === served) servedAt.set(one.tenantId, round);
      }
    }
    // 300 rows at a third of 50 per claim: 18 claims, give or take the first rounds.
    assert.ok((servedAt.get('small') ?? 99) <= 20, `the small one was done after ${servedAt.get('small')} claims`);
  });
});
