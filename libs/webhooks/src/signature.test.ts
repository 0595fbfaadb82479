// Signatures of webhooks, against the vector that the standard's own libraries use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOfSecret, newSecret, webhookHeaders } from './signature.ts';

const vector = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: new Date(1614265330_000),
  body: Buffer.from('{"test": 2432232314}'),
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};

test('the vector of Standard Webhooks', () => {
  assert.deepEqual(webhookHeaders(vector, [vector.secret]), {
    'webhook-id': vector.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': vector.signature,
  });
});

test('two secrets sign together, the newest first', () => {
  const other = newSecret();
  const { 'webhook-signature': both = '' } = webhookHeaders(vector, [other, vector.secret]);
  const [first, second, ...more] = both.split(' ');
  assert.equal(first, webhookHeaders(vector, [other])['webhook-signature']);
  assert.deepEqual([second, more], [vector.signature, []]);
});

test('a secret is 24 to 64 random bytes behind whsec_', () => {
  const secrets = new Set(Array.from({ length: 100 }, newSecret));
  assert.equal(secrets.size, 100);
  for (const secret of secrets) assert.equal(keyOfSecret(secret).length, 32);
  for (const none of ['', 'whsec_', `whsec_${'A'.repeat(28)}`, `whsec_${'A'.repeat(88)}`, newSecret().slice(1)])
    assert.throws(() => keyOfSecret(none), TypeError, none);
});
