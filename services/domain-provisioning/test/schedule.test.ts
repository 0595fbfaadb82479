// Domains are looked at by themselves, by one process at a time, and what changed is told to the tenant's feed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '@maildoot/db/database';
import { DomainStatus } from '@maildoot/proto/maildoot/domain/v1/domain';
import { idToUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { schema, start } from '../src/service.ts';
import { openStore } from '../src/store.ts';
import {
  createDomain,
  newName,
  newTenant,
  publish,
  type RunningDomains,
  startDomains,
  unrepeated,
  verifiedDomain,
} from './running-domains.ts';

const minute = 60_000;
/** Spare keys, expired answers, looks, events. */
const jobsOfOne = 4;

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

async function statusOf(domains: RunningDomains, tenantId: string, domain: string) {
  return (await domains.gateway.getDomain({ domain }, { tenantId })).domain?.status;
}
/** Lets calendar time go by until something is so. The jobs sleep by this clock. */
async function eventually(domains: RunningDomains, what: string, is: () => Promise<boolean> | boolean, stepMs = minute): Promise<void> {
  await waitFor(
    async () => {
      if (await is()) return true;
      await domains.clock.advance(stepMs);
      return false;
    },
    { what },
  );
}

test('what is published becomes verified without anybody asking, and the feed is told', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const created = await createDomain(domains, tenantId, newName(domains));
  publish(domains, created);
  await eventually(
    domains,
    'verified',
    async () => (await statusOf(domains, tenantId, created.domain)) === DomainStatus.DOMAIN_STATUS_VERIFIED,
  );
  await waitFor(() => domains.told.length > 0, { what: 'the event' });
  const [event] = domains.told;
  assert.deepEqual([event?.tenantId, event?.type], [tenantId, 'domain.verified']);
  assert.match(event?.id ?? '', /^evt_/);
  assert.deepEqual(event?.data.domain, { id: created.id, domain: created.domain, status: 'verified', records: [] });
});

test('a drift is told before anybody sends: which record, and that the domain may not send any more', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  domains.dns.setRecords(`md1._domainkey.${name}`, undefined);
  await eventually(domains, 'the drift', () => domains.told.some(({ type }) => type === 'domain.drifted'), 10 * minute);
  const event = domains.told.find(({ type }) => type === 'domain.drifted');
  assert.equal(event?.data.domain.status, 'drifted');
  assert.deepEqual(
    event?.data.domain.records.map((record) => [record.name, record.status]),
    [[`md1._domainkey.${name}`, 'drifted']],
  );
  assert.equal(await statusOf(domains, tenantId, name), DomainStatus.DOMAIN_STATUS_DRIFTED);

  // Once, however often it is looked at.
  await domains.clock.advance(2 * minute);
  publish(domains, await (async () => (await domains.gateway.getDomain({ domain: name }, { tenantId })).domain!)());
  await eventually(
    domains,
    'verified again',
    async () => (await statusOf(domains, tenantId, name)) === DomainStatus.DOMAIN_STATUS_VERIFIED,
  );
  await waitFor(() => domains.told.length === 3, { what: 'the third event' });
  assert.deepEqual(
    domains.told.map(({ type }) => type),
    ['domain.verified', 'domain.drifted', 'domain.verified'],
  );
});

test('an advised record that drifts is told too; the domain stays verified', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  domains.dns.setRecords(`md-bounces.${name}`, undefined);
  await eventually(domains, 'the drift', () => domains.told.some(({ type }) => type === 'domain.drifted'), 10 * minute);
  const event = domains.told.find(({ type }) => type === 'domain.drifted');
  assert.equal(event?.data.domain.status, 'verified');
  assert.deepEqual(
    event?.data.domain.records.map((record) => record.name),
    [`md-bounces.${name}`],
  );
  assert.equal(await statusOf(domains, tenantId, name), DomainStatus.DOMAIN_STATUS_VERIFIED);
});

test('name servers that do not answer change nothing and tell nothing', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  await waitFor(() => domains.told.length === 1, { what: 'verified' });
  domains.dns.fail('*', 'servfail');
  const failures = async () =>
    (await domains.database.query<{ n: number }>('SELECT check_failures AS n FROM domain WHERE name = $1', [name])).rows[0]?.n ?? 0;
  await eventually(domains, 'three looks in vain', async () => (await failures()) >= 3, 10 * minute);
  assert.equal(await statusOf(domains, tenantId, name), DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.equal(domains.told.length, 1);
});

test('messaging away: events wait, and are told once, in order, when it is back', async () => {
  await using domains = await startDomains();
  domains.messagingState.down = true;
  const tenantId = newTenant();
  const first = await verifiedDomain(domains, tenantId);
  await domains.clock.advance(1000);
  const second = await verifiedDomain(domains, tenantId);
  await waitFor(() => domains.logs.text.includes('was not taken'), { what: 'a try in vain' });
  // Taken, but the answer is lost: the second time tells nothing new.
  domains.messagingState.lateAnswers = 1;
  domains.messagingState.down = false;
  await eventually(domains, 'both events', async () => (await domains.database.query('SELECT 1 FROM domain_event')).rowCount === 0);
  assert.deepEqual(
    domains.told.map(({ data }) => data.domain.domain),
    [first.domain, second.domain],
  );
});

test('an event that messaging can make nothing of stands in nobody’s way', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const first = newName(domains);
  domains.messagingState.refuses = (domain) => domain === first;
  await verifiedDomain(domains, tenantId, first);
  const second = await verifiedDomain(domains, tenantId);
  await waitFor(() => domains.told.length > 0, { what: 'the other event' });
  assert.deepEqual(
    domains.told.map(({ data }) => data.domain.domain),
    [second.domain],
  );
  assert.match(domains.logs.text, /was given up/);
});

test('a domain that changes hands: who has lost it is told', async () => {
  await using domains = await startDomains();
  const [former, next] = [newTenant(), newTenant()];
  const claim = await createDomain(domains, next, newName(domains));
  await verifiedDomain(domains, former, claim.domain);
  publish(domains, claim);
  await domains.gateway.verifyDomain({ domain: claim.domain, ...unrepeated }, { tenantId: next });
  await waitFor(() => domains.told.length === 3, { what: 'three events' });
  const facts = domains.told.map(({ tenantId, type }) => `${tenantId === former ? 'former' : 'next'} ${type}`).sort();
  assert.deepEqual(facts, ['former domain.drifted', 'former domain.verified', 'next domain.verified']);
  const lost = domains.told.find(({ type }) => type === 'domain.drifted');
  assert.doesNotMatch(JSON.stringify(lost), new RegExp(next));
});

test('two processes never look at the same domain at the same time, and what a dead one took is free when its lease ends', async () => {
  await using domains = await startDomains();
  await using store = openStore(domains.opened);
  const tenantId = newTenant();
  for (let count = 0; count < 20; count++) await createDomain(domains, tenantId, newName(domains));
  const later = new Date(domains.clock.now().getTime() + 2 * minute);
  const lease = async (count: number) => {
    const leases = await Promise.all(Array.from({ length: count }, () => store.leaseDue(later, 100, 60_000)));
    return leases.flatMap((domain) => (domain === undefined ? [] : [domain.name]));
  };
  const names = await lease(12);
  for (let count = names.length; count < 20; count++) names.push(...(await lease(1)));
  assert.equal(new Set(names).size, 20, 'two have the same one');
  assert.deepEqual(await lease(2), []);

  await domains.database.query("UPDATE domain SET check_leased_until = now() - interval '1 second' WHERE name = ANY($1)", [
    names.slice(0, 3),
  ]);
  const again = [...(await lease(1)), ...(await lease(1)), ...(await lease(1)), ...(await lease(1))];
  assert.deepEqual(again.sort(), names.slice(0, 3).sort());
});

test('a lease is of one domain, whatever the plan', async () => {
  await using domains = await startDomains();
  for (let count = 0; count < 4; count++) await createDomain(domains, newTenant(), newName(domains));
  const { databaseUrl, databaseConnections: maxConnections } = domains.config;
  const url = new URL(databaseUrl);
  const off = ['seqscan', 'hashagg', 'hashjoin', 'mergejoin', 'material', 'sort', 'bitmapscan', 'indexscan', 'indexonlyscan'];
  url.searchParams.set('options', off.map((way) => `-c enable_${way}=off`).join(' '));
  await using opened = openDatabase({ url: url.href, schema, maxConnections, applicationName: 'test' });
  await using store = openStore(opened);
  assert.ok(await store.leaseDue(new Date(domains.clock.now().getTime() + 2 * minute), 1, 60_000));
  assert.equal((await domains.database.query('SELECT FROM domain WHERE check_leased_until IS NOT NULL')).rowCount, 1);
});

test('tenants whose name servers hang keep nobody else waiting', async () => {
  await using domains = await startDomains();
  const other = newTenant();
  for (const slow of [newTenant(), newTenant(), newTenant()])
    for (let count = 0; count < 4; count++) {
      const { domain } = await createDomain(domains, slow, newName(domains));
      domains.dns.fail(`_maildoot.${domain}`, 'drop');
    }
  await domains.clock.advance(1000);
  const waiting = await createDomain(domains, other, newName(domains));
  publish(domains, waiting);
  const seen = async () => (await statusOf(domains, other, waiting.domain)) === DomainStatus.DOMAIN_STATUS_VERIFIED;
  await eventually(domains, 'the other tenant’s look', seen, 15_000);
  const { rows } = await domains.database.query<{ looked: number; under_way: number }>(
    'SELECT count(checked_at)::int AS looked, count(check_leased_until)::int AS under_way FROM domain WHERE tenant_id <> $1 GROUP BY tenant_id',
    [idToUuid('ten', other)],
  );
  const [looked, underWay] = [rows.map((row) => row.looked), rows.map((row) => row.under_way)];
  // A process has eight looks under way: without room kept free, all twelve of the slow ones would have begun first, so five were over.
  assert.ok(sum(looked) < 5, `${looked} of the slow ones were looked at first`);
  assert.ok(Math.max(...underWay) <= 3 && sum(underWay) <= 7, `${underWay} of the slow ones are under way`);
});

test('two processes share the looks: each domain is looked at once', async () => {
  await using domains = await startDomains();
  await using _second = await start(domains.config, { clock: domains.clock, logger: domains.logger });
  const tenantId = newTenant();
  const names = Array.from({ length: 12 }, () => newName(domains));
  for (const name of names) await createDomain(domains, tenantId, name);
  const looked = async () => (await domains.database.query('SELECT 1 FROM domain WHERE checked_at IS NOT NULL')).rowCount === names.length;
  // Well before the second time of any of them. Who sleeps later sleeps from the later time, so all jobs of both are waited for.
  for (let step = 0; step < 7 && !(await looked()); step++) {
    await waitFor(() => domains.clock.sleeping === 2 * jobsOfOne, { what: 'all jobs to rest' });
    await domains.clock.advance(15_000);
  }
  await waitFor(looked, { what: 'all looks' });
  for (const name of names) {
    const asked = domains.dns.queries.filter((query) => query.name === `_maildoot.${name}` && query.type === 'TXT');
    assert.equal(asked.length, 1, name);
  }
});
