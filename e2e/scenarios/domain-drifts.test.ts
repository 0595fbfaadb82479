/**
 * A sending domain's life over REST: verified and told, its key changed without a gap, a record lost and told before mail bounces for it,
 * given up.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DnsServer } from '@maildoot/testkit/dns';
import { waitFor } from '@maildoot/testkit/wait';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Platform, startPlatform } from '../platform.ts';

const domain = 'shop.example';
const path = `/v1/user-settings/domains/${domain}`;

interface Domain {
  status: string;
  dkim: { selector: string; rotation: { state: string; old_record_needed_until: string | null } | null };
}
interface Event {
  type: string;
  data: { domain?: { domain: string; status: string; records: { name: string; status: string }[] } };
}

let dns: DnsServer;
let platform: Platform;
before(async () => {
  dns = await startInternet();
  platform = await startPlatform({ env: { DNS_SERVERS: dns.address } });
});
after(async () => {
  await platform?.[Symbol.asyncDispose]();
  await dns?.[Symbol.asyncDispose]();
});

async function told(type: string): Promise<Event> {
  return waitFor(
    async () => {
      const { body } = await platform.call<{ data: Event[] }>('GET', '/v1/events?limit=100');
      return body.data.find((event) => event.type === type);
    },
    { what: type },
  );
}

test('verified, and the feed says so', async () => {
  await verifiedDomain(platform.call, dns, domain);
  assert.equal((await told('domain.verified')).data.domain?.domain, domain);
  const { body, status } = await platform.call<Domain>('GET', path);
  assert.deepEqual([status, body.status, body.dkim], [200, 'verified', { selector: 'md1', rotation: null }]);
});

test('a new key signs once its record is seen, and the answer says how long the old one is needed', async () => {
  const asked = await platform.call<Domain>('POST', `${path}/rotate-dkim`);
  assert.equal(asked.status, 200, JSON.stringify(asked.body));
  const changed = await waitFor(
    async () => {
      const { body } = await platform.call<Domain>('GET', path);
      return body.dkim.selector === 'md2' ? body : undefined;
    },
    { what: 'the new key' },
  );
  assert.equal(changed.dkim.rotation?.state, 'changed_over');
  assert.ok(Date.parse(changed.dkim.rotation.old_record_needed_until ?? '') > Date.now() + 9 * 86_400_000);
  const again = await platform.call<{ error: { code: string } }>('POST', `${path}/rotate-dkim`);
  assert.deepEqual([again.status, again.body.error.code], [409, 'CONFLICT']);
});

test('a record that is lost is told, and mail from the domain is refused', async () => {
  dns.setRecords(`md2._domainkey.${domain}`, undefined);
  assert.equal((await platform.call<Domain>('POST', `${path}/verify`)).body.status, 'drifted');
  const event = await told('domain.drifted');
  assert.equal(event.data.domain?.status, 'drifted');
  assert.deepEqual(
    event.data.domain.records.map(({ name, status }) => [name, status]),
    [[`md2._domainkey.${domain}`, 'drifted']],
  );
});

test('given up, it is gone', async () => {
  assert.equal((await platform.call('DELETE', path)).status, 204);
  assert.equal((await platform.call('GET', path)).status, 404);
  assert.equal((await platform.call('DELETE', path)).status, 404);
});
