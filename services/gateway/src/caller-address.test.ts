// Whose word counts about who calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callerAddress, contains, networkList } from './caller-address.ts';

const proxies = networkList(['10.0.0.0/8', '127.0.0.1', 'fd00::/8']);

for (const [socket, header, trusted, expected, because] of [
  ['203.0.113.9', '198.51.100.1', undefined, '203.0.113.9', 'no proxy is trusted unless it is set'],
  ['203.0.113.9', '198.51.100.1', proxies, '203.0.113.9', 'a stranger’s header is worth nothing'],
  ['10.0.0.1', '198.51.100.1', proxies, '198.51.100.1', 'a trusted proxy names its caller'],
  ['10.0.0.1', '6.6.6.6, 198.51.100.1', proxies, '198.51.100.1', 'what the caller wrote itself stands further left'],
  ['10.0.0.1', '198.51.100.1, 10.0.0.2', proxies, '198.51.100.1', 'two proxies'],
  ['10.0.0.1', 'unknown, 10.0.0.2', proxies, '10.0.0.2', 'nothing that is no address'],
  ['10.0.0.1', undefined, proxies, '10.0.0.1', 'no header'],
  ['::ffff:10.0.0.1', '2001:db8::1', proxies, '2001:db8::1', 'IPv4 inside IPv6 is IPv4'],
  ['fe80::1%eth0', undefined, proxies, 'fe80::1', 'a zone is a matter of this machine'],
  [undefined, undefined, proxies, '', 'the socket is gone'],
] as const) {
  test(`${socket} with ${header}: ${because}`, () => assert.equal(callerAddress(socket, header, trusted), expected));
}

test('an address is in a network of its own family only', () => {
  const list = networkList(['198.51.100.0/24', '2001:db8::/32']);
  assert.ok(list);
  for (const [address, inside] of [
    ['198.51.100.7', true],
    ['198.51.101.7', false],
    ['2001:db8:1::1', true],
    ['2001:db9::1', false],
    ['', false],
    ['not an address', false],
  ] as const) {
    assert.equal(contains(list, address), inside, address);
  }
  assert.equal(networkList([]), undefined);
});
