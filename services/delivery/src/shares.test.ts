import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Peer, Shares, shareOf } from './shares.ts';

const destinations = Array.from({ length: 200 }, (_, number) => `operator${number}.test`);
const members = Array.from({ length: 7 }, (_, number) => `0193-${number}-member`);

describe('shareOf', () => {
  it('adds up to the limit whatever the number of members', () => {
    for (const limit of [1, 2, 3, 5, 19, 20]) {
      for (let count = 1; count <= members.length; count++) {
        const some = members.slice(0, count);
        for (const destination of destinations)
          assert.equal(
            some.reduce((sum, member) => sum + shareOf(member, some, destination, limit), 0),
            limit,
          );
      }
    }
  });

  it('grows for nobody when members are added', () => {
    for (const limit of [1, 2, 3, 5, 7, 20]) {
      for (let count = 1; count < members.length; count++) {
        const [few, more] = [members.slice(0, count), members.slice(0, count + 1)];
        for (const destination of destinations)
          for (const member of few)
            assert.ok(shareOf(member, more, destination, limit) <= shareOf(member, few, destination, limit), `${member} ${destination}`);
      }
    }
  });

  it('spreads the destinations of a single session', () => {
    const [first, second] = [members[0] ?? '', members[1] ?? ''];
    const mine = destinations.filter((destination) => shareOf(first, [first, second], destination, 1) === 1).length;
    assert.ok(mine > 60 && mine < 140, String(mine));
  });
});

describe('Shares', () => {
  it('has everything when it is alone, and nothing before the first heartbeat', () => {
    const shares = new Shares();
    assert.equal(shares.of('x', 20), 0);
    shares.heard('a', [], [], true);
    assert.equal(shares.of('x', 20), 20);
  });

  it('has nothing until those who were there reckon with it; they go on with less', () => {
    const [a, b] = [new Shares(), new Shares()];
    a.heard('a', [], [], true);
    b.heard('b', [], [peer('a', a.toSay)], true);
    assert.equal(b.of('x', 20), 0);
    // a learns of it and shrinks at once, but has not said so yet.
    a.heard('a', a.toSay, [peer('b', [])], false);
    assert.equal(a.of('x', 20), 10);
    b.heard('b', b.toSay, [peer('a', [])], false);
    assert.equal(b.of('x', 20), 0);
    a.heard('a', a.toSay, [peer('b', b.toSay)], false);
    b.heard('b', b.toSay, [peer('a', a.toSay)], false);
    assert.equal(a.of('x', 20), 10);
    assert.equal(b.of('x', 20), 10);
  });

  it('has nothing again where another one that reckoned with it does so no more, or may have', () => {
    const shares = new Shares();
    shares.heard('a', [], [peer('b', ['a'])], true);
    assert.equal(shares.of('x', 20), 10);
    shares.heard('a', ['b'], [peer('b', [])], false);
    assert.equal(shares.of('x', 20), 0);
    shares.heard('a', ['b'], [peer('b', ['a']), peer('c', [])], false);
    assert.equal(shares.of('x', 21), 7);
    // It was silent for long, and c may never have seen it.
    shares.heard('a', ['b', 'c'], [peer('b', ['a']), peer('c', [])], true);
    assert.equal(shares.of('x', 21), 0);
  });

  it('takes off what another one still has beyond its share', () => {
    const shares = new Shares();
    shares.heard('a', ['b'], [peer('b', ['a'], { x: 4, y: 30 })], true);
    assert.equal(shares.of('x', 20), 6);
    assert.equal(shares.of('y', 20), 0);
    assert.equal(shares.of('z', 20), 10);
    assert.equal(shares.whole('x', 20), 10);
  });

  it('grows only after it has said that it reckons with one fewer', () => {
    const shares = new Shares();
    shares.heard('a', ['b'], [peer('b', ['a'])], true);
    shares.heard('a', ['b'], [], false);
    assert.equal(shares.of('x', 20), 10);
    assert.deepEqual(shares.toSay, []);
    shares.heard('a', [], [], false);
    assert.equal(shares.of('x', 20), 20);
  });
});

function peer(id: string, applied: readonly string[], over: Record<string, number> = {}): Peer {
  return { id, applied, over };
}
