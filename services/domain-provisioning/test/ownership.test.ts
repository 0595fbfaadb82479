// Tenants and names: anybody may claim a name, the ownership record decides who has it, and nobody sees or uses another's.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Domain, DomainStatus } from '@maildoot/proto/maildoot/domain/v1/domain';
import { idToUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import {
  createDomain,
  newName,
  newTenant,
  publish,
  type RunningDomains,
  startDomains,
  unrepeated,
  verifiedDomain,
  verify,
} from './running-domains.ts';

let domains: RunningDomains;
before(async () => {
  domains = await startDomains();
});
after(() => domains[Symbol.asyncDispose]());

const mayUse = async (tenantId: string, name: string) =>
  (await domains.messaging.checkSenderDomains({ domains: [name] }, { tenantId })).verified.length === 1;
const ownership = (domain: Domain) => domain.records[0]!;

test("one's own domain can't be added twice, in whatever spelling, nor at the same time", async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  await createDomain(domains, tenantId, name);
  for (const spelling of [name, name.toUpperCase(), `${name}.`]) {
    await assert.rejects(createDomain(domains, tenantId, spelling), { code: 'DOMAIN_EXISTS' });
  }
  const other = newName(domains);
  const answers = await Promise.allSettled(Array.from({ length: 4 }, () => createDomain(domains, tenantId, other)));
  assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 1);
  for (const answer of answers) if (answer.status === 'rejected') assert.equal(answer.reason.code, 'DOMAIN_EXISTS');
});

test('a tenant has a limit of domains, also when two come at the same time; another tenant has its own', async () => {
  const tenantId = newTenant();
  await domains.database.query(
    `INSERT INTO domain (id, tenant_id, name, status, ownership_token, created_at, next_check_at)
     SELECT gen_random_uuid(), $1, 'full' || n || '.example', 'pending', 'x', now(), '2100-01-01' FROM generate_series(1, 999) AS n`,
    [idToUuid('ten', tenantId)],
  );
  const once = (domain: string) =>
    domains.gateway.createDomain({ domain, idempotencyKey: domain, requestSha256: Buffer.alloc(32, 1) }, { tenantId });
  const all = [newName(domains), newName(domains), newName(domains), newName(domains)];
  // Held up where they write, so that they are all under way at once.
  const holding = await domains.database.connect();
  await holding.query('BEGIN; LOCK TABLE dkim_key IN SHARE MODE');
  const asked = Promise.allSettled(all.map((name, at) => (at % 2 ? once(name) : createDomain(domains, tenantId, name))));
  const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  try {
    await waitFor(async () => ((await holding.query(waiting)).rowCount ?? 0) >= 2, { what: 'two that are under way' });
  } finally {
    await holding.query('COMMIT');
    holding.release();
  }
  const answers = await asked;
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const answer of answers) {
    if (answer.status === 'fulfilled') continue;
    assert.equal(answer.reason.code, 'CONFLICT');
    assert.deepEqual([answer.reason.detail.issues[0]?.path, answer.reason.detail.issues[0]?.code], ['domain', 'too_many']);
  }
  // One's own is told as that, and whoever deletes one has room again.
  await assert.rejects(createDomain(domains, tenantId, 'full1.example'), { code: 'DOMAIN_EXISTS' });
  await createDomain(domains, newTenant(), newName(domains));
  await domains.gateway.deleteDomain({ domain: 'full1.example' }, { tenantId });
  await createDomain(domains, tenantId, newName(domains));
});

test('keys without the ownership record prove nothing', async () => {
  const tenantId = newTenant();
  const name = newName(domains);
  publish(domains, await createDomain(domains, tenantId, name), (record) => !record.startsWith('_maildoot.'));
  assert.equal((await verify(domains, tenantId, name)).status, DomainStatus.DOMAIN_STATUS_PENDING);
  assert.equal(await mayUse(tenantId, name), false);
  await assert.rejects(domains.delivery.getSigningKey({ domain: name }, { tenantId }), { code: 'DOMAIN_NOT_VERIFIED' });
});

test('a name that another tenant claims is free until it is verified', async () => {
  const [squatter, owner, late] = [newTenant(), newTenant(), newTenant()];
  const name = newName(domains);
  await createDomain(domains, squatter, name);
  publish(domains, await createDomain(domains, owner, name));
  assert.equal((await verify(domains, owner, name)).status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  await assert.rejects(createDomain(domains, late, name), { code: 'DOMAIN_EXISTS' });
  assert.notEqual((await verify(domains, squatter, name)).status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.equal(await mayUse(squatter, name), false);
  assert.equal(await mayUse(owner, name), true);
});

test('the ownership record decides: where it changes, the domain changes hands at once', async () => {
  const [former, next] = [newTenant(), newTenant()];
  const name = newName(domains);
  const claim = await createDomain(domains, next, name);
  await verifiedDomain(domains, former, name);

  // Both tokens are there: who has it keeps it.
  const before = await verify(domains, former, name);
  domains.dns.setRecords(`_maildoot.${name}`, { TXT: [ownership(before).value, ownership(claim).value] });
  const contested = await verify(domains, next, name);
  assert.notEqual(contested.status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.match(ownership(contested).problem, /another account/i);
  assert.equal(await mayUse(former, name), true);

  // Ours alone, with our key: it is ours, and no longer theirs.
  publish(domains, claim);
  assert.equal((await verify(domains, next, name)).status, DomainStatus.DOMAIN_STATUS_VERIFIED);
  assert.equal(await mayUse(next, name), true);
  assert.equal(await mayUse(former, name), false);
  await assert.rejects(domains.delivery.getSigningKey({ domain: name }, { tenantId: former }), { code: 'DOMAIN_NOT_VERIFIED' });
  const lost = (await domains.gateway.listDomains({ limit: 1, afterId: '' }, { tenantId: former })).domains[0];
  assert.equal(lost?.status, DomainStatus.DOMAIN_STATUS_DRIFTED);
  // The other tenant's id and address are nobody's business.
  assert.doesNotMatch(JSON.stringify(lost), new RegExp(next));
});

test('at the same time: never two of a name are verified', async () => {
  const tenants = [newTenant(), newTenant(), newTenant()];
  const name = newName(domains);
  const claims = [];
  for (const tenantId of tenants) claims.push(await createDomain(domains, tenantId, name));
  publish(domains, claims[0]!);
  domains.dns.setRecords(`_maildoot.${name}`, { TXT: claims.map((claim) => ownership(claim).value) });
  for (const prefix of ['md1', 'md2']) {
    // The key of one of them; the others own the name and can't sign.
    const key = claims[1]!.records.find((record) => record.name.startsWith(prefix))!;
    domains.dns.setRecords(key.name, { TXT: [key.value] });
  }
  await Promise.all([...tenants, ...tenants].map((tenantId) => verify(domains, tenantId, name)));
  const { rows } = await domains.database.query("SELECT count(*)::int AS count FROM domain WHERE name = $1 AND status = 'verified'", [
    name,
  ]);
  assert.equal(rows[0].count, 1);
  assert.equal(await mayUse(tenants[1]!, name), true);
});

test("another tenant's domain answers as one that never was", async () => {
  const [ours, theirs] = [newTenant(), newTenant()];
  const { domain: name } = await verifiedDomain(domains, theirs);
  const answers = [];
  for (const asked of [name, newName(domains), 'not a name', 'co.uk', '']) {
    const error = await domains.gateway.verifyDomain({ domain: asked, ...unrepeated }, { tenantId: ours }).then(
      () => assert.fail(`${asked} was found`),
      (failure: { code: string; status: string; detail: unknown }) => failure,
    );
    answers.push({ code: error.code, status: error.status, detail: error.detail });
  }
  assert.equal(answers[0]?.code, 'NOT_FOUND');
  for (const answer of answers) assert.deepEqual(answer, answers[0]);

  const keys = [];
  for (const asked of [name, newName(domains)]) {
    keys.push(
      await domains.delivery.getSigningKey({ domain: asked }, { tenantId: ours }).then(
        () => assert.fail(`${asked} has a key for us`),
        (error: { code: string; detail: unknown }) => ({ code: error.code, detail: error.detail }),
      ),
    );
  }
  assert.deepEqual(keys[0], keys[1]);
  assert.deepEqual((await domains.gateway.listDomains({ limit: 100, afterId: '' }, { tenantId: ours })).domains, []);
  assert.equal(await mayUse(ours, name), false);
});

test('one domain is read by its name; given up it is gone with its keys, and may be added again', async () => {
  const [tenantId, stranger] = [newTenant(), newTenant()];
  const verified = await verifiedDomain(domains, tenantId);
  const { domain: name } = verified;
  const get = async (asked: string, of = tenantId) => (await domains.gateway.getDomain({ domain: asked }, { tenantId: of })).domain;
  assert.deepEqual(await get(`${name.toUpperCase()}.`), verified);

  const missing = { code: 'NOT_FOUND', detail: { message: 'There is no domain of this name. Add it first.' } };
  const pick = async (asking: Promise<unknown>) => {
    const error = await asking.then(
      () => assert.fail('it was found'),
      (failure: { code: string; detail: { message: string } }) => failure,
    );
    return { code: error.code, detail: { message: error.detail.message } };
  };
  for (const asked of [name, newName(domains), 'not a name']) {
    assert.deepEqual(await pick(get(asked, stranger)), missing);
    assert.deepEqual(await pick(domains.gateway.deleteDomain({ domain: asked }, { tenantId: stranger })), missing);
  }
  assert.equal(await mayUse(tenantId, name), true);

  await domains.gateway.deleteDomain({ domain: name.toUpperCase() }, { tenantId });
  assert.deepEqual(await pick(get(name)), missing);
  assert.deepEqual(await pick(domains.gateway.deleteDomain({ domain: name }, { tenantId })), missing);
  assert.equal(await mayUse(tenantId, name), false);
  await assert.rejects(domains.delivery.getSigningKey({ domain: name }, { tenantId }), { code: 'DOMAIN_NOT_VERIFIED' });
  const { rows } = await domains.database.query('SELECT 1 FROM dkim_key WHERE domain_id = $1', [idToUuid('dom', verified.id)]);
  assert.deepEqual(rows, []);

  const again = await createDomain(domains, tenantId, name);
  assert.notEqual(ownership(again).value, ownership(verified).value);
});

test('lists are newest first, page by page', async () => {
  const tenantId = newTenant();
  const names = [newName(domains), newName(domains), newName(domains)];
  for (const name of names) await createDomain(domains, tenantId, name);
  const page = await domains.gateway.listDomains({ limit: 2, afterId: '' }, { tenantId });
  assert.deepEqual([page.domains.map((domain) => domain.domain), page.hasMore], [[names[2], names[1]], true]);
  const rest = await domains.gateway.listDomains({ limit: 2, afterId: page.domains[1]?.id ?? '' }, { tenantId });
  assert.deepEqual([rest.domains.map((domain) => domain.domain), rest.hasMore], [[names[0]], false]);
  assert.equal(rest.domains[0]?.records.length, 8);
  await assert.rejects(domains.gateway.listDomains({ limit: 2, afterId: 'dom_1' }, { tenantId }), { code: 'VALIDATION_ERROR' });
});

test('sender domains come back as they were asked for; a subdomain is another domain', async () => {
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  const asked = [name.toUpperCase(), name, `mail.${name}`, 'not a name', ''];
  assert.deepEqual((await domains.messaging.checkSenderDomains({ domains: asked }, { tenantId })).verified, [name.toUpperCase(), name]);
});

test('a name that can be nobody’s is refused and says why', async () => {
  for (const name of ['co.uk', 'localhost', '192.0.2.1', 'printer.local', 'a b.example', '']) {
    await assert.rejects(createDomain(domains, newTenant(), name), (error: { code: string; detail: { issues: { path: string }[] } }) => {
      assert.equal(error.code, 'VALIDATION_ERROR');
      assert.equal(error.detail.issues[0]?.path, 'domain');
      return true;
    });
  }
});

test('the allow-lists: each caller asks only what is its own', async () => {
  const tenantId = newTenant();
  const refused = { code: 'CALLER_NOT_ALLOWED' };
  const { gateway, messaging, delivery } = domains;
  const claim = { domain: 'x.example', ...unrepeated };
  for (const other of [messaging, delivery]) {
    await assert.rejects(other.createDomain(claim, { tenantId }), refused);
    await assert.rejects(other.listDomains({ limit: 1, afterId: '' }, { tenantId }), refused);
    for (const rpc of ['getDomain', 'deleteDomain'] as const)
      await assert.rejects(other[rpc]({ domain: 'x.example' }, { tenantId }), refused);
    await assert.rejects(other.verifyDomain(claim, { tenantId }), refused);
    await assert.rejects(other.rotateDkim(claim, { tenantId }), refused);
  }
  for (const other of [gateway, delivery]) await assert.rejects(other.checkSenderDomains({ domains: [] }, { tenantId }), refused);
  for (const other of [gateway, messaging]) await assert.rejects(other.getSigningKey({ domain: 'x.example' }, { tenantId }), refused);
});
