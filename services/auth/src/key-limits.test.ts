import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithin, type Limits } from './key-limits.ts';

const none: Limits = { allowedIps: [], allowedDomains: [], expiresAt: undefined, dailyLimit: 0, test: false };
const soon = new Date('2026-01-01T00:00:00Z');
const later = new Date('2026-01-02T00:00:00Z');

const cases: [why: string, own: Partial<Limits>, wanted: Partial<Limits>, within: boolean][] = [
  ['a key without limits may make any', {}, {}, true],
  ['also one with limits', {}, { allowedIps: ['10.0.0.0/8'], allowedDomains: ['a.example'], expiresAt: soon }, true],
  ['no network list means any address', { allowedIps: ['10.0.0.0/8'] }, {}, false],
  ['a part of one’s own network', { allowedIps: ['10.0.0.0/8'] }, { allowedIps: ['10.1.0.0/16', '10.2.3.4/32'] }, true],
  ['the same network', { allowedIps: ['10.0.0.0/8'] }, { allowedIps: ['10.0.0.0/8'] }, true],
  ['a wider network', { allowedIps: ['10.0.0.0/8'] }, { allowedIps: ['8.0.0.0/5'] }, false],
  ['a neighbour within the last byte', { allowedIps: ['10.0.0.0/25'] }, { allowedIps: ['10.0.0.128/25'] }, false],
  ['one inside, one outside', { allowedIps: ['10.0.0.0/8'] }, { allowedIps: ['10.1.0.0/16', '11.0.0.0/32'] }, false],
  ['another family', { allowedIps: ['0.0.0.0/0'] }, { allowedIps: ['::1/128'] }, false],
  ['IPv6 inside', { allowedIps: ['2001:db8::/32'] }, { allowedIps: ['2001:db8:1::/48'] }, true],
  ['no domain list means any domain', { allowedDomains: ['a.example'] }, {}, false],
  ['one of one’s own domains', { allowedDomains: ['a.example', 'b.example'] }, { allowedDomains: ['b.example'] }, true],
  ['another domain', { allowedDomains: ['a.example'] }, { allowedDomains: ['c.example'] }, false],
  ['no end outlives every end', { expiresAt: soon }, {}, false],
  ['a later end', { expiresAt: soon }, { expiresAt: later }, false],
  ['the same end', { expiresAt: soon }, { expiresAt: soon }, true],
  ['an earlier end', { expiresAt: later }, { expiresAt: soon }, true],
  ['any number of messages is more than some', { dailyLimit: 10 }, {}, false],
  ['more messages', { dailyLimit: 10 }, { dailyLimit: 11 }, false],
  ['as many messages', { dailyLimit: 10 }, { dailyLimit: 10 }, true],
  ['a live key by a test key', { test: true }, {}, false],
  ['a test key by a test key', { test: true }, { test: true }, true],
  ['a test key by a live one', {}, { test: true }, true],
];

for (const [why, own, wanted, within] of cases) {
  test(`${within ? 'within' : 'not within'}: ${why}`, () => {
    const limits = { ...none, ...own };
    const ownLimits = {
      allowedIps: [...limits.allowedIps],
      allowedDomains: [...limits.allowedDomains],
      expiresAt: limits.expiresAt ?? undefined,
      dailyLimit: limits.dailyLimit,
      test: limits.test,
    };
    assert.equal(isWithin({ ...none, ...wanted }, ownLimits), within);
  });
}

test('unset limits limit nothing', () => assert.equal(isWithin(none, undefined), true));
