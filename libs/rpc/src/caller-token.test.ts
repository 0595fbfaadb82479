import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallerTokenSource, CallerTokenVerifier } from './caller-token.ts';

const SECRET = 'a secret of the tests, long enough';

test('a token is made once per 30 seconds, for all who ask at once', async () => {
  let now = Date.now();
  const source = new CallerTokenSource('gateway', SECRET, () => now);
  const [first, second] = await Promise.all([source.current(), source.current()]);
  assert.equal(first, second);
  now += 29_000;
  assert.equal(source.current(), first, 'and given at once');
  now += 2_000;
  const next = await source.current();
  assert.notEqual(next, first);
  now -= 100_000;
  assert.notEqual(await source.current(), next, 'a clock set back must not keep a token too long');
});

test('a token is verified once, and no longer taken when it has expired', async () => {
  let now = Date.now();
  const token = await new CallerTokenSource('delivery', SECRET, () => now).current();
  const verifier = new CallerTokenVerifier(SECRET, () => now);
  assert.equal(await verifier.caller(token), 'delivery');
  assert.equal(verifier.caller(token), 'delivery', 'from memory, without a promise');
  now += 66_000;
  assert.equal(await verifier.caller(token), undefined);
  assert.equal(await verifier.caller(token), undefined);
});

test('a long-lived token is refused though its signature is good', async () => {
  const now = Date.now();
  const { SignJWT } = await import('jose');
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('gateway')
    .setAudience('maildoot-rpc')
    .setIssuedAt(Math.floor(now / 1000) - 120)
    .setExpirationTime(Math.floor(now / 1000) + 3600)
    .sign(Buffer.from(SECRET));
  assert.equal(await new CallerTokenVerifier(SECRET).caller(token), undefined);
});

test('a JWT for another audience is refused', async () => {
  const { SignJWT } = await import('jose');
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('gateway')
    .setAudience('api')
    .setIssuedAt()
    .setExpirationTime('60s')
    .sign(Buffer.from(SECRET));
  assert.equal(await new CallerTokenVerifier(SECRET).caller(token), undefined);
});

test('many tokens do not fill the memory, and the newest still work', async () => {
  const verifier = new CallerTokenVerifier(SECRET);
  let last = '';
  for (let index = 0; index < 1100; index++) {
    last = await new CallerTokenSource(`caller-${index}`, SECRET).current();
    assert.equal(await verifier.caller(last), `caller-${index}`);
  }
  assert.equal(verifier.caller(last), 'caller-1099');
});
