// DKIM keys: sealed for their place, fit for signing, ready ahead of time, and never in the clear anywhere.

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { idToUuid } from '@maildoot/runtime/ids';
import { createSealer, SealError } from '@maildoot/runtime/seal';
import { waitFor } from '@maildoot/testkit/wait';
import { createSpareKeys } from '../src/spare-keys.ts';
import { openStore } from '../src/store.ts';
import { createDomain, newName, newTenant, sealKeys, startDomains, verifiedDomain } from './running-domains.ts';

const sealer = createSealer(sealKeys);

test('the key that signs opens with its tenant, domain and selector only, and fits the published record', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const { domain: name, records } = await verifiedDomain(domains, tenantId);
  const { selector, sealedPrivateKey } = await domains.delivery.getSigningKey({ domain: name.toUpperCase() }, { tenantId });
  const der = sealer.open(sealedPrivateKey, `dkim:${tenantId}:${name}:${selector}`);
  const published = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
    .export({ format: 'der', type: 'spki' })
    .toString('base64');
  const record = records.find((candidate) => candidate.name === `${selector}._domainkey.${name}`);
  assert.equal(record?.value, `v=DKIM1; k=rsa; p=${published}`);

  for (const context of [
    `dkim:${newTenant()}:${name}:${selector}`,
    `dkim:${tenantId}:other.example:${selector}`,
    `dkim:${tenantId}:${name}:md2`,
    '',
  ]) {
    assert.throws(() => sealer.open(sealedPrivateKey, context), SealError);
  }
});

test('two selectors have two keys, and two domains four', async () => {
  await using domains = await startDomains();
  const tenantId = newTenant();
  const values = new Set<string>();
  for (const name of [newName(domains), newName(domains)]) {
    for (const record of (await createDomain(domains, tenantId, name)).records)
      if (record.name.includes('_domainkey')) values.add(record.value);
  }
  assert.equal(values.size, 4);
});

test('keys lie ready up to the bound, are taken once, and are made again', async () => {
  await using domains = await startDomains({ spareDkimKeys: 4 });
  const spares = async () =>
    (await domains.database.query<{ public_key: string }>('SELECT public_key FROM spare_dkim_key ORDER BY id')).rows.map(
      (row) => row.public_key,
    );
  const full = () => waitFor(async () => (await spares()).length === 4 && (await spares()), { what: 'four spare keys' });
  const ready = await full();

  const { records } = await createDomain(domains, newTenant(), newName(domains));
  const used = records.filter((record) => record.name.includes('_domainkey')).map((record) => record.value.split('p=')[1] ?? '');
  assert.deepEqual(used, ready.slice(0, 2));
  const again = await full();
  for (const key of used) assert.ok(!again.includes(key), 'a key was used twice');
});

test('the bound holds for all pods together', async () => {
  await using domains = await startDomains();
  await using store = openStore(domains.opened);
  const pod = () => createSpareKeys({ store, sealer, max: 3, taken: () => {}, unusable: (error) => assert.fail(String(error)) });
  // Each of them sees room until the others have filled it.
  await Promise.all([pod(), pod(), pod()].map((spareKeys) => spareKeys.fill(new AbortController().signal)));
  assert.equal(await store.countSpares(), 3);
});

test('more domains than keys lie ready: the rest is made at once', async () => {
  await using domains = await startDomains({ spareDkimKeys: 2 });
  const tenantId = newTenant();
  const created = await Promise.all(Array.from({ length: 5 }, () => createDomain(domains, tenantId, newName(domains))));
  const keys = new Set(
    created.flatMap((domain) => domain.records.filter((record) => record.name.includes('_domainkey')).map((record) => record.value)),
  );
  assert.equal(keys.size, 10);
});

test('a spare key that was sealed with a key we no longer have is thrown away', async () => {
  await using domains = await startDomains({ spareDkimKeys: 2 });
  await waitFor(async () => (await domains.database.query('SELECT 1 FROM spare_dkim_key')).rowCount === 2, {
    what: 'two spare keys',
  });
  const foreign = createSealer([{ id: 'old', key: Buffer.alloc(32, 9) }]);
  await domains.database.query('UPDATE spare_dkim_key SET sealed_private_key = $1', [foreign.seal('x', 'y')]);
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  const { sealedPrivateKey } = await domains.delivery.getSigningKey({ domain: name }, { tenantId });
  createPrivateKey({ key: sealer.open(sealedPrivateKey, `dkim:${tenantId}:${name}:md1`), format: 'der', type: 'pkcs8' });
});

test('no private key is in a table or a log line in the clear', async () => {
  await using domains = await startDomains({ spareDkimKeys: 2 });
  const tenantId = newTenant();
  const { domain: name } = await verifiedDomain(domains, tenantId);
  const { sealedPrivateKey } = await domains.delivery.getSigningKey({ domain: name }, { tenantId });
  await waitFor(async () => (await domains.database.query('SELECT 1 FROM spare_dkim_key')).rowCount === 2, {
    what: 'two spare keys',
  });
  const der = sealer.open(sealedPrivateKey, `dkim:${tenantId}:${name}:md1`);
  const { rows } = await domains.database.query<{ sealed: Buffer }>(
    'SELECT sealed_private_key AS sealed FROM dkim_key UNION ALL SELECT sealed_private_key FROM spare_dkim_key',
  );
  assert.equal(rows.length, 4);
  // What every PKCS#8 RSA key begins with, and the middle of this one.
  const marks = [der.subarray(8, 24), der.subarray(600, 632)];
  for (const mark of marks) {
    for (const { sealed } of rows) assert.equal(sealed.indexOf(mark), -1);
    for (const form of [mark.toString('hex'), mark.toString('base64').replace(/=+$/, '')]) assert.ok(!domains.logs.text.includes(form));
  }
  assert.ok(domains.logs.text.includes(name), 'the logs were looked at');
});

test("a key row moved to another tenant's domain does not open there", async () => {
  await using domains = await startDomains();
  const [victim, thief] = [newTenant(), newTenant()];
  const theirs = await verifiedDomain(domains, victim);
  const own = await verifiedDomain(domains, thief);
  await domains.database.query(
    'UPDATE dkim_key SET sealed_private_key = (SELECT sealed_private_key FROM dkim_key WHERE domain_id = $1 AND active) WHERE domain_id = $2 AND active',
    [idToUuid('dom', theirs.id), idToUuid('dom', own.id)],
  );
  const { selector, sealedPrivateKey } = await domains.delivery.getSigningKey({ domain: own.domain }, { tenantId: thief });
  assert.throws(() => sealer.open(sealedPrivateKey, `dkim:${thief}:${own.domain}:${selector}`), SealError);
});
