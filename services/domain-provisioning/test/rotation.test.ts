// A new signing key: the old one signs until the record of the new one is seen, and its record stays for what it signed.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type Domain, DomainStatus, RotationState } from '@maildoot/proto/maildoot/domain/v1/domain';
import { createSealer } from '@maildoot/runtime/seal';
import { waitFor } from '@maildoot/testkit/wait';
import {
  createDomain,
  newName,
  newTenant,
  publish,
  type RunningDomains,
  sealKeys,
  startDomains,
  verifiedDomain,
  verify,
} from './running-domains.ts';

let domains: RunningDomains;
before(async () => {
  domains = await startDomains();
});
after(() => domains[Symbol.asyncDispose]());

const day = 24 * 60 * 60_000;
const none = { idempotencyKey: '', requestSha256: Buffer.alloc(0) };

async function rotate(
  tenantId: string,
  domain: string,
  repeatable: { idempotencyKey: string; requestSha256: Buffer } = none,
): Promise<Domain> {
  const { domain: answered } = await domains.gateway.rotateDkim({ domain, ...repeatable }, { tenantId });
  assert.ok(answered);
  return answered;
}
async function get(tenantId: string, domain: string): Promise<Domain> {
  const { domain: found } = await domains.gateway.getDomain({ domain }, { tenantId });
  assert.ok(found);
  return found;
}
const signer = async (tenantId: string, domain: string) => (await domains.delivery.getSigningKey({ domain }, { tenantId })).selector;
const keyRecord = (domain: Domain, selector: string) => {
  const record = domain.records.find(({ name }) => name.startsWith(`${selector}.`));
  assert.ok(record);
  return record;
};
const requiredOf = (domain: Domain) => ['md1', 'md2'].map((selector) => keyRecord(domain, selector).required);

test('the old key signs until the new record is seen; then they change places, and the answer says until when the old one is needed', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  publish(domains, created, (record) => !record.startsWith('md2.'));
  assert.equal((await verify(domains, tenantId, name)).status, DomainStatus.DOMAIN_STATUS_VERIFIED);

  const asked = await rotate(tenantId, name);
  assert.equal(asked.rotation?.state, RotationState.ROTATION_STATE_WAITING);
  assert.deepEqual([asked.rotation.fromSelector, asked.rotation.toSelector, asked.signingSelector], ['md1', 'md2', 'md1']);
  for (let look = 0; look < 2; look++) {
    assert.equal((await verify(domains, tenantId, name)).signingSelector, 'md1');
    assert.equal(await signer(tenantId, name), 'md1');
  }

  publish(domains, created);
  const changed = await verify(domains, tenantId, name);
  assert.equal(changed.status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.equal(changed.signingSelector, 'md2');
  assert.equal(await signer(tenantId, name), 'md2');
  assert.deepEqual(requiredOf(changed), [false, true]);
  assert.equal(changed.rotation?.state, RotationState.ROTATION_STATE_CHANGED_OVER);
  assert.deepEqual(changed.rotation.changedOverAt, domains.clock.now());
  assert.deepEqual(changed.rotation.oldRecordNeededUntil, new Date(domains.clock.now().getTime() + 10 * day));
});

test('a look that told nothing changes no key over, whatever was seen before', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  domains.dns.fail(`md2._domainkey.${name}`, 'servfail');
  await rotate(tenantId, name);
  assert.equal((await verify(domains, tenantId, name)).signingSelector, 'md1');
  domains.dns.heal(`md2._domainkey.${name}`);
  assert.equal((await verify(domains, tenantId, name)).signingSelector, 'md2');
});

test('where the other record is there already, keys change places without another call', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  assert.equal((await rotate(tenantId, name)).signingSelector, 'md1');
  await waitFor(async () => (await signer(tenantId, name)) === 'md2', { what: 'the new key' });
});

test('again too early: refused, with the time; after that with a key that never was published, and the former record does not count', async () => {
  const tenantId = newTenant();
  const first = await verifiedDomain(domains, tenantId);
  const { domain: name } = first;
  await rotate(tenantId, name);
  await verify(domains, tenantId, name);
  const { rotation } = await get(tenantId, name);
  await domains.clock.advance(10 * day - 1);
  await assert.rejects(rotate(tenantId, name), (error: { code: string; detail: { message: string } }) => {
    assert.equal(error.code, 'CONFLICT');
    assert.ok(error.detail.message.includes(rotation?.oldRecordNeededUntil?.toISOString() ?? 'never'), error.detail.message);
    return true;
  });
  await domains.clock.advance(1);
  assert.equal((await get(tenantId, name)).rotation?.state, RotationState.ROTATION_STATE_FINISHED);

  const again = await rotate(tenantId, name);
  assert.deepEqual([again.rotation?.fromSelector, again.rotation?.toSelector], ['md2', 'md1']);
  const next = keyRecord(again, 'md1');
  assert.notEqual(next.value, keyRecord(first, 'md1').value);
  assert.notEqual(next.value, keyRecord(first, 'md2').value);
  assert.deepEqual([next.status, next.seen], [DomainStatus.DOMAIN_STATUS_PENDING, []]);

  const stale = await verify(domains, tenantId, name);
  assert.equal(stale.signingSelector, 'md2');
  assert.equal(stale.status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.match(keyRecord(stale, 'md1').problem, /former key/);
  assert.equal(keyRecord(stale, 'md1').status, DomainStatus.DOMAIN_STATUS_PENDING);

  publish(domains, again);
  assert.equal((await verify(domains, tenantId, name)).signingSelector, 'md1');
  const { selector, sealedPrivateKey } = await domains.delivery.getSigningKey({ domain: name }, { tenantId });
  assert.equal(selector, 'md1');
  assert.ok(createSealer(sealKeys).open(sealedPrivateKey, `dkim:${tenantId}:${name}:md1`).length > 1000);
});

test('asked for twice, or many times at once, it is one change', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  publish(domains, await createDomain(domains, tenantId, name), (record) => !record.startsWith('md2.'));
  await verify(domains, tenantId, name);
  const answers = await Promise.all(Array.from({ length: 5 }, () => rotate(tenantId, name)));
  for (const answer of answers) assert.deepEqual(answer.rotation, answers[0]?.rotation);
  assert.deepEqual((await rotate(tenantId, name)).rotation, answers[0]?.rotation);
});

test('the same idempotency key gets the first answer again, whatever happened since', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  const repeatable = { idempotencyKey: 'once', requestSha256: createHash('sha256').update(name).digest() };
  const first = await rotate(tenantId, name, repeatable);
  await verify(domains, tenantId, name);
  const again = await domains.gateway.rotateDkim({ domain: name, ...repeatable }, { tenantId });
  assert.deepEqual(again, { domain: first, replayed: true });
  const other = { ...repeatable, requestSha256: Buffer.alloc(32) };
  await assert.rejects(domains.gateway.rotateDkim({ domain: name, ...other }, { tenantId }), { code: 'IDEMPOTENCY_MISMATCH' });
});

test('another tenant’s domain has no key to change', async () => {
  const { domain: name } = await verifiedDomain(domains, newTenant());
  for (const asked of [name, newName(domains), 'not a name'])
    await assert.rejects(domains.gateway.rotateDkim({ domain: asked, ...none }, { tenantId: newTenant() }), { code: 'NOT_FOUND' });
});
