// Who is one holder, and that what ends is counted down once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionsPerHolder } from './sessions-per-holder.ts';

test('an IPv4 address is a holder, and the /64 of an IPv6 one; others have their own', () => {
  const sessions = new SessionsPerHolder({ most: 2 });
  assert.ok(sessions.begin('a', '2001:db8:1:2::1'));
  assert.ok(sessions.begin('b', '2001:db8:1:2:ffff::2'));
  assert.ok(!sessions.begin('c', '2001:db8:1:2::3'));
  assert.ok(sessions.begin('d', '2001:db8:1:3::1'));
  for (const [id, address, may] of [
    ['e', '192.0.2.1', true],
    ['f', '192.0.2.1', true],
    ['g', '192.0.2.1', false],
    ['h', '192.0.2.2', true],
  ] as const)
    assert.equal(sessions.begin(id, address), may, id);
});

test('a session that ends makes room once; one that was refused makes none', () => {
  const sessions = new SessionsPerHolder({ most: 1 });
  assert.ok(sessions.begin('a', '192.0.2.1'));
  assert.ok(!sessions.begin('b', '192.0.2.1'));
  sessions.end('b');
  assert.ok(!sessions.begin('c', '192.0.2.1'));
  sessions.end('a');
  sessions.end('a');
  assert.ok(sessions.begin('d', '192.0.2.1'));
  assert.ok(!sessions.begin('e', '192.0.2.1'));
});

test('this host and Unix sockets are not counted, unless it is asked for', () => {
  const sessions = new SessionsPerHolder({ most: 1 });
  for (const address of ['127.0.0.1', '127.0.0.1', '::1', '::1', '', '']) assert.ok(sessions.begin(crypto.randomUUID(), address));
  const strict = new SessionsPerHolder({ most: 1, countLoopback: true });
  assert.deepEqual([strict.begin('a', '127.0.0.1'), strict.begin('b', '127.0.0.1')], [true, false]);
});
