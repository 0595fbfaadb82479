// Which published DMARC records are valid.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dmarcRecordProblem, dmarcRecordValue, isDmarcRecord } from './dmarc-record.ts';

for (const value of [dmarcRecordValue, 'v=DMARC1;p=reject', 'v=DMARC1; rua=mailto:a@example.com; p=Quarantine; pct=50;']) {
  test(`${value} counts`, () => {
    assert.ok(isDmarcRecord(value));
    assert.equal(dmarcRecordProblem(value), undefined);
  });
}

for (const value of ['v=DMARC1', 'v=DMARC1; p=', 'v=DMARC1; p=maybe', 'v=DMARC1; none', 'v=DMARC1; p=none; p=reject']) {
  test(`${value} doesn't count`, () => assert.notEqual(dmarcRecordProblem(value), undefined));
}

test('receivers ignore what does not start with the version', () => {
  for (const value of ['p=none; v=DMARC1', 'v=DMARC2; p=none', 'v=dmarc1; p=none', 'v=DMARC10; p=none', 'v=spf1 -all'])
    assert.ok(!isDmarcRecord(value), value);
});
