// Which published SPF records let our hosts send.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSpfRecord, spfRecordProblem, spfRecordValue } from './spf-record.ts';

const host = 'mail.maildoot.test';

for (const value of [
  spfRecordValue(host),
  `v=spf1 include:_spf.example.com a:${host} -all`,
  `v=spf1 +A:MAIL.maildoot.test. ~all`,
  `V=SPF1 mx  a:${host}`,
]) {
  test(`${value} counts`, () => {
    assert.ok(isSpfRecord(value));
    assert.equal(spfRecordProblem(value, host), undefined);
  });
}

for (const [value, because] of [
  ['v=spf1 -all', 'not there'],
  [`v=spf1 ~all a:${host}`, 'behind all'],
  [`v=spf1 -a:${host} ~all`, 'refuses us'],
  [`v=spf1 ?a:${host} ~all`, 'neutral is no pass'],
  [`v=spf1 a:${host}.example.com ~all`, 'another host'],
  [`v=spf1 a:x${host} ~all`, 'another host'],
  [`v=spf1 include:${host} ~all`, 'another mechanism'],
] as const) {
  test(`${value} doesn't count: ${because}`, () => assert.notEqual(spfRecordProblem(value, host), undefined));
}

test('what is an SPF record', () => {
  assert.ok(isSpfRecord('v=spf1'));
  assert.ok(!isSpfRecord('v=spf10 -all'));
  assert.ok(!isSpfRecord('spf2.0/pra -all'));
});
