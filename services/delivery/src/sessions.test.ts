import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

it('a session counts for the destination that opened it, whoever uses it later', () => {
  const sessions = new Sessions({ messagesPerSession: 100, maxSessions: 10, maxSessionsPerDestination: 1, idleMs: 60_000 });
  const quit: string[] = [];
  const make = (name: string) => ({ alive: true, used: 1, onEnd: () => undefined, quit: () => quit.push(name) }) as unknown as Session;
  const [first, second] = [make('first'), make('second')];
  sessions.opening('a.test');
  sessions.giveBack('mx.shared.test:25', 'a.test', first);
  // Another operator's domain names the same host.
  assert.equal(sessions.take('mx.shared.test:25'), first);
  sessions.giveBack('mx.shared.test:25', 'b.test', first);
  // a.test has its one session still, so it is closed to make room.
  sessions.opening('a.test');
  assert.deepEqual(quit, ['first']);
  sessions.giveBack('mx.a.test:25', 'a.test', second);
  // And b.test has none.
  sessions.opening('b.test');
  assert.deepEqual(quit, ['first']);
  sessions.close();
});
