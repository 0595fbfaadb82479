import assert from 'node:assert/strict';
import { it } from 'node:test';
import { TlsPolicies } from './tls-policy.ts';

it('a host whose handshake failed is sent to in clear for a while, and no other one', () => {
  let nowMs = 0;
  const policies = new TlsPolicies(() => nowMs);
  assert.equal(policies.policyFor('mx.a.test:25'), 'opportunistic');
  assert.equal(policies.handshakeFailed('mx.a.test:25'), 'none');
  assert.equal(policies.policyFor('mx.a.test:25'), 'none');
  assert.equal(policies.policyFor('mx.b.test:25'), 'opportunistic');
  nowMs += 10 * 60_000;
  assert.equal(policies.policyFor('mx.a.test:25'), 'opportunistic');
});
