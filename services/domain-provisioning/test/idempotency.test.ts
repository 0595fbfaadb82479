// The same request with the same idempotency key gets the same domain again.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createDomain, newName, newTenant, publish, type RunningDomains, startDomains, unrepeated } from './running-domains.ts';

let domains: RunningDomains;
before(async () => {
  domains = await startDomains();
});
after(() => domains[Symbol.asyncDispose]());

const hash = (text: string) => createHash('sha256').update(text).digest();
const create = (tenantId: string, domain: string, idempotencyKey: string) =>
  domains.gateway.createDomain({ domain, idempotencyKey, requestSha256: hash(domain) }, { tenantId });

test('a repeated claim gets the first answer instead of DOMAIN_EXISTS', async () => {
  const [tenantId, name] = [newTenant(), newName(domains)];
  const first = await create(tenantId, name, 'once');
  const again = await create(tenantId, name, 'once');
  assert.equal(first.replayed, false);
  assert.deepEqual(again, { ...first, replayed: true });
});

test('the same idempotency key for another domain is refused', async () => {
  const tenantId = newTenant();
  await create(tenantId, newName(domains), 'once');
  await assert.rejects(create(tenantId, newName(domains), 'once'), { code: 'IDEMPOTENCY_MISMATCH' });
});

test('at the same time: one domain, everybody else gets the same or is asked to wait', async () => {
  const [tenantId, name] = [newTenant(), newName(domains)];
  const answers = await Promise.allSettled(Array.from({ length: 6 }, () => create(tenantId, name, 'race')));
  const ids = answers.filter((answer) => answer.status === 'fulfilled').map((answer) => answer.value.domain?.id);
  assert.ok(ids.length >= 1);
  assert.equal(new Set(ids).size, 1);
  for (const answer of answers) if (answer.status === 'rejected') assert.equal(answer.reason.code, 'IDEMPOTENCY_IN_PROGRESS');
});

test('a claim that was refused leaves its idempotency key free', async () => {
  const [tenantId, name] = [newTenant(), newName(domains)];
  await assert.rejects(create(tenantId, 'co.uk', 'free'), { code: 'VALIDATION_ERROR' });
  assert.equal((await create(tenantId, name, 'free')).replayed, false);
});

test('an answer is forgotten after a day', async () => {
  const [tenantId, name] = [newTenant(), newName(domains)];
  await create(tenantId, name, 'day');
  await domains.clock.advance(24 * 60 * 60 * 1000);
  await assert.rejects(create(tenantId, name, 'day'), { code: 'DOMAIN_EXISTS' });
});

test('a repeated look tells what the first one saw, in the same words; another key looks again', async () => {
  const tenantId = newTenant();
  const claim = await createDomain(domains, tenantId, newName(domains));
  const look = (idempotencyKey: string, domain = claim.domain) =>
    domains.gateway.verifyDomain({ domain, idempotencyKey, requestSha256: hash(domain) }, { tenantId });
  const first = await look('look');
  assert.deepEqual([first.replayed, first.domain?.status === undefined], [false, false]);
  publish(domains, claim);
  assert.deepEqual(await look('look'), { ...first, replayed: true });
  const fresh = await look('another look');
  assert.equal(fresh.replayed, false);
  assert.notDeepEqual(fresh.domain?.status, first.domain?.status);
  const other = await createDomain(domains, tenantId, newName(domains));
  await assert.rejects(look('look', other.domain), { code: 'IDEMPOTENCY_MISMATCH' });
  assert.equal((await domains.gateway.verifyDomain({ domain: claim.domain, ...unrepeated }, { tenantId })).replayed, false);
});
