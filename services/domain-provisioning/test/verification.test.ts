// Verification against DNS: what the answer said to publish is published on a DNS server, and looked at.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Domain, DomainStatus, RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import { createDomain, newName, newTenant, publish, type RunningDomains, startDomains, verifiedDomain, verify } from './running-domains.ts';

let domains: RunningDomains;
before(async () => {
  domains = await startDomains();
});
after(() => domains[Symbol.asyncDispose]());

const {
  DOMAIN_STATUS_PENDING: pending,
  DOMAIN_STATUS_VERIFIED: verified,
  DOMAIN_STATUS_FAILED: failed,
  DOMAIN_STATUS_DRIFTED: drifted,
} = DomainStatus;

function recordNamed(domain: Domain, start: string) {
  const found = domain.records.find((record) => record.name.startsWith(start));
  assert.ok(found, `no record at ${start}`);
  return found;
}
/** Status per record, in the order shown: ownership, md1, md2, SPF, DMARC, return path, tracking, MX. */
const statuses = (domain: Domain) => domain.records.map((record) => record.status);

test('what the answer says to publish verifies the domain once it is published', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  assert.equal(created.status, pending);
  assert.deepEqual(
    created.records.map((record) => [record.type, record.name, record.purpose, record.required]),
    [
      ['TXT', `_maildoot.${name}`, RecordPurpose.RECORD_PURPOSE_OWNERSHIP, true],
      ['TXT', `md1._domainkey.${name}`, RecordPurpose.RECORD_PURPOSE_DKIM, true],
      ['TXT', `md2._domainkey.${name}`, RecordPurpose.RECORD_PURPOSE_DKIM, false],
      ['TXT', name, RecordPurpose.RECORD_PURPOSE_SPF, false],
      ['TXT', `_dmarc.${name}`, RecordPurpose.RECORD_PURPOSE_DMARC, false],
      ['CNAME', `md-bounces.${name}`, RecordPurpose.RECORD_PURPOSE_RETURN_PATH, false],
      ['CNAME', `md-links.${name}`, RecordPurpose.RECORD_PURPOSE_TRACKING, false],
      ['MX', name, RecordPurpose.RECORD_PURPOSE_MX, false],
    ],
  );
  assert.equal((await verify(domains, tenantId, name)).status, pending);

  publish(domains, created);
  await domains.clock.advance(1000);
  const answer = await verify(domains, tenantId, name);
  assert.equal(answer.status, verified);
  assert.deepEqual(answer.checkedAt, domains.clock.now());
  assert.deepEqual(answer.verifiedAt, domains.clock.now());
  for (const record of answer.records) assert.deepEqual([record.status, record.seen, record.problem], [verified, [record.value], '']);
});

test('nothing published: the whole list comes back, each with what to do', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  await createDomain(domains, tenantId, name);
  const answer = await verify(domains, tenantId, name);
  assert.deepEqual(
    statuses(answer),
    Array.from({ length: 8 }, () => pending),
  );
  for (const record of answer.records) assert.notEqual(record.problem, '');
});

test('a key in several strings, with white space and tags in another order, is the same key', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  publish(domains, created);
  const key = recordNamed(created, 'md1.').value.split('p=')[1] ?? '';
  domains.dns.setRecords(`md1._domainkey.${name}`, {
    TXT: [['p=', key.slice(0, 100), ` ${key.slice(100, 300)}`, key.slice(300), ' ; k=rsa;v=DKIM1']],
  });
  assert.equal((await verify(domains, tenantId, name)).status, verified);
});

test('one character of the key makes it another key', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  publish(domains, created);
  const { value } = recordNamed(created, 'md1.');
  domains.dns.setRecords(`md1._domainkey.${name}`, {
    TXT: [value.replace(/.{20}$/, (end) => end.replace(/[A-Za-z]/, (letter) => (letter === 'A' ? 'B' : 'A')))],
  });
  const answer = await verify(domains, tenantId, name);
  assert.equal(answer.status, failed);
  assert.equal(recordNamed(answer, 'md1.').status, failed);
});

test('records behind CNAMEs are followed into other zones', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  publish(domains, created);
  domains.dns.setZone('provider.example', {
    'key.one': { CNAME: 'key.two.provider.example' },
    'key.two': { TXT: [recordNamed(created, 'md1.').value] },
  });
  domains.dns.setRecords(`md1._domainkey.${name}`, { CNAME: 'key.one.provider.example' });
  assert.equal((await verify(domains, tenantId, name)).status, verified);

  domains.dns.setRecords(`md1._domainkey.${name}`, { CNAME: 'nothing.provider.example' });
  assert.equal((await verify(domains, tenantId, name)).status, drifted);
});

test('a truncated UDP answer is asked for again over TCP', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  publish(domains, await createDomain(domains, tenantId, name));
  domains.dns.fail(`md1._domainkey.${name}`, 'truncated');
  assert.equal((await verify(domains, tenantId, name)).status, verified);
});

for (const failure of ['servfail', 'refused', 'drop', 'malformed'] as const) {
  test(`name servers that ${failure} change no status, and the answer says so`, async () => {
    const tenantId = newTenant();
    const { domain: name } = await verifiedDomain(domains, tenantId);
    const waiting = newName(domains);
    await createDomain(domains, tenantId, waiting);
    for (const [asked, expected] of [
      [name, verified],
      [waiting, pending],
    ] as const) {
      for (const prefix of ['_maildoot.', 'md1._domainkey.', 'md2._domainkey.', '', '_dmarc.', 'md-bounces.', 'md-links.'])
        domains.dns.fail(`${prefix}${asked}`, failure);
      const startedAt = performance.now();
      const answer = await verify(domains, tenantId, asked);
      assert.ok(performance.now() - startedAt < 10_000, 'the 5 s, and what a busy machine needs');
      assert.equal(answer.status, expected);
      assert.deepEqual(new Set(statuses(answer)), new Set([expected]));
      for (const record of answer.records) assert.match(record.problem, failure === 'drop' ? /timeout/ : /SERVFAIL|timeout/);
    }
    const { verified: mayStillSend } = await domains.messaging.checkSenderDomains({ domains: [name] }, { tenantId });
    assert.deepEqual(mayStillSend, [name]);
  });
}

test('a record that is gone lets a verified domain drift, and it may not send or sign any more', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  assert.equal((await domains.delivery.getSigningKey({ domain: name }, { tenantId })).selector, 'md1');
  domains.dns.setRecords(`md1._domainkey.${name}`, undefined);
  const answer = await verify(domains, tenantId, name);
  assert.equal(answer.status, drifted);
  assert.equal(recordNamed(answer, 'md1.').status, drifted);
  assert.deepEqual((await domains.messaging.checkSenderDomains({ domains: [name] }, { tenantId })).verified, []);
  await assert.rejects(domains.delivery.getSigningKey({ domain: name }, { tenantId }), { code: 'DOMAIN_NOT_VERIFIED' });
});

test('several TXT records at one name, and what is no text', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  publish(domains, created);
  domains.dns.setRecords(`_maildoot.${name}`, {
    TXT: ['something else', 'nul\u0000 and \u001b[31m', recordNamed(created, '_maildoot.').value],
  });
  domains.dns.setRecords(name, { TXT: ['v=spf1 include:_spf.other.example a:mail.maildoot.test -all', 'google-site-verification=x'] });
  domains.dns.setRecords(`_dmarc.${name}`, { TXT: ['v=DMARC1; p=reject; rua=mailto:d@other.example'] });
  const answer = await verify(domains, tenantId, name);
  assert.deepEqual(statuses(answer).slice(0, 5), [verified, verified, verified, verified, verified]);
  assert.ok(recordNamed(answer, '_maildoot.').seen.includes('nul\\000 and \\027[31m'));
});

test('verifying at the same time answers the same', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  publish(domains, await createDomain(domains, tenantId, name));
  const answers = await Promise.all(Array.from({ length: 8 }, () => verify(domains, tenantId, name)));
  for (const answer of answers) assert.equal(answer.status, verified);
});

test('the name may be written as people write it', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  assert.equal((await verify(domains, tenantId, `${name.toUpperCase()}.`)).status, verified);
});

test('the hosts below a verified domain are told to who sends and who writes links, for as long as their records are there', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  const created = await createDomain(domains, tenantId, name);
  const hosts = async (of = tenantId) => domains.delivery.getMailHosts({ domain: name }, { tenantId: of });
  const none = { returnPathHost: '', trackingHost: '' };
  publish(domains, created, (record) => record.startsWith('md-'));
  await verify(domains, tenantId, name);
  assert.deepEqual(await hosts(), none, 'the domain itself is not verified');

  publish(domains, created);
  await verify(domains, tenantId, name);
  assert.deepEqual(await hosts(), { returnPathHost: `md-bounces.${name}`, trackingHost: `md-links.${name}` });
  assert.deepEqual(await domains.messaging.getMailHosts({ domain: name.toUpperCase() }, { tenantId }), await hosts());
  assert.deepEqual(await hosts(newTenant()), none);
  await assert.rejects(domains.gateway.getMailHosts({ domain: name }, { tenantId }), { code: 'CALLER_NOT_ALLOWED' });

  domains.dns.setRecords(`md-bounces.${name}`, undefined);
  assert.equal((await verify(domains, tenantId, name)).status, verified);
  assert.deepEqual(await hosts(), { ...none, trackingHost: `md-links.${name}` });
});
