import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bulk } from './bulk.ts';

describe('Bulk', () => {
  const few = (bulk: Bulk, tenantId: string, messages: number, recipients = 1) =>
    Array.from({ length: messages }, () => bulk.count(tenantId, recipients)).filter((isBulk) => !isBulk).length;

  it('lets a tenant have so many recipients the common way, and each second some more', () => {
    let nowMs = 0;
    const bulk = new Bulk(() => nowMs);
    assert.equal(few(bulk, 'a', 1_000), 200);
    nowMs += 1_000;
    assert.equal(few(bulk, 'a', 1_000), 50);
    nowMs += 60_000;
    assert.equal(few(bulk, 'a', 1_000), 200);
  });

  it('concerns nobody else', () => {
    const bulk = new Bulk(() => 0);
    few(bulk, 'a', 100_000);
    assert.equal(few(bulk, 'b', 10), 10);
  });

  it('counts recipients: one message to very many is bulk', () => {
    const bulk = new Bulk(() => 0);
    assert.equal(bulk.count('a', 1_000), true);
    assert.equal(few(bulk, 'a', 10, 30), 6);
  });

  it('remembers a bounded number of tenants', () => {
    const bulk = new Bulk(() => 0);
    for (let number = 0; number < 10_001; number++) bulk.count(`t${number}`, 150);
    assert.equal(bulk.count('t10000', 100), true);
    assert.equal(bulk.count('t0', 100), false);
  });
});
