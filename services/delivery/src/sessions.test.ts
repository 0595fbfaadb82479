import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

describe('Sessions', () => {
  it('counts a session for the destination that opened it, whoever uses it later', async () => {
    const house = make(1);
    const [first, second] = [house.session('first'), house.session('second')];
    assert.equal(await house.sessions.opening('a.test'), true);
    house.sessions.giveBack('mx.shared.test:25', 'a.test', first);
    // Another operator's domain names the same host.
    assert.equal(house.sessions.take('mx.shared.test:25'), first);
    house.sessions.giveBack('mx.shared.test:25', 'b.test', first);
    // a.test has its one session still, so it is closed to make room, and counts until it is gone.
    const opening = house.sessions.opening('a.test');
    assert.deepEqual(house.quit, ['first']);
    assert.equal(house.sessions.openTo('a.test'), 1);
    house.end('first');
    assert.equal(await opening, true);
    house.sessions.giveBack('mx.a.test:25', 'a.test', second);
    // And b.test has none.
    assert.equal(await house.sessions.opening('b.test'), true);
    assert.deepEqual(house.quit, ['first']);
    house.sessions.close();
  });

  it('says that there is no room when nobody leaves in time', async () => {
    const house = make(1);
    assert.equal(await house.sessions.opening('a.test'), true);
    assert.equal(await house.sessions.opening('a.test'), false);
    assert.equal(house.sessions.openTo('a.test'), 1);
  });

  it('closes idle ones when a destination may have fewer', async () => {
    const house = make(3);
    for (const name of ['one', 'two', 'three']) {
      assert.equal(await house.sessions.opening('a.test'), true);
      house.session(name);
    }
    for (const name of ['one', 'two']) house.sessions.giveBack('mx.a.test:25', 'a.test', house.session(name));
    house.limit.now = 1;
    house.sessions.limitsChanged();
    assert.deepEqual(house.quit, ['one', 'two']);
  });
});

function make(limit: number) {
  const quit: string[] = [];
  const made = new Map<string, Session>();
  const ends = new Map<string, () => void>();
  const limits = { now: limit };
  const sessions = new Sessions({ messagesPerSession: 100, maxSessions: 10, sessionsFor: () => limits.now, idleMs: 60_000, roomMs: 50 });
  const session = (name: string): Session => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const one = {
      alive: true,
      used: 1,
      onEnd: (callback: (() => void) | undefined) => (callback === undefined ? ends.delete(name) : ends.set(name, callback)),
      quit: () => quit.push(name),
    } as unknown as Session;
    made.set(name, one);
    return one;
  };
  return { sessions, quit, session, limit: limits, end: (name: string) => ends.get(name)?.() };
}
