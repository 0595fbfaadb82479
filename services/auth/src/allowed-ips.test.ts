// Which blocks are taken, in which spelling, and why others aren't.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normaliseCidr } from './allowed-ips.ts';

for (const [text, expected] of [
  ['198.51.100.7', '198.51.100.7/32'],
  [' 198.51.100.0/24 ', '198.51.100.0/24'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['2001:DB8:0:0::/32', '2001:db8::/32'],
  ['2001:db8::1', '2001:db8::1/128'],
  ['::/0', '::/0'],
] as const) {
  test(`${JSON.stringify(text)} is kept as ${expected}`, () => assert.equal(normaliseCidr(text), expected));
}

for (const [text, because] of [
  ['', 'nothing'],
  ['localhost', 'a name is looked up when it is used, by somebody else'],
  ['10.0.0.1/8', 'bits behind the prefix'],
  ['2001:db8::1/32', 'bits behind the prefix'],
  ['10.0.0.0/33', 'prefix too long'],
  ['2001:db8::/129', 'prefix too long'],
  ['10.0.0.0/-1', 'no prefix length'],
  ['10.0.0.0/', 'no prefix length'],
  ['10.0.0/24', 'three parts'],
  ['167772160', 'one number'],
  ['010.0.0.0/8', 'octal to some'],
  ['0x0a.0.0.1', 'hexadecimal'],
  ['::ffff:10.0.0.1/128', 'IPv4 inside IPv6'],
  ['fe80::1%eth0', 'a zone means nothing elsewhere'],
  ['10.0.0.0/8, 10.1.0.0/16', 'two blocks'],
] as const) {
  test(`${JSON.stringify(text)} is refused: ${because}`, () => assert.equal(typeof normaliseCidr(text), 'object'));
}

test('the answer to bits behind the prefix says how the block is written', () => {
  assert.match(JSON.stringify(normaliseCidr('10.0.0.1/8')), /10\.0\.0\.0\/8/);
});
