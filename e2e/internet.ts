/** The internet around the platform: a DNS server whose zones hold what the API says to publish. */
import assert from 'node:assert/strict';
import { type DnsServer, startDnsServer } from '@maildoot/testkit/dns';
import { publish } from '@maildoot/testkit/publish';
import type { Call } from './platform.ts';

export interface PublishedRecord {
  type: string;
  name: string;
  value: string;
  purpose: string;
}

/** A DNS server with nothing in it yet. */
export function startInternet(): Promise<DnsServer> {
  return startDnsServer();
}

/** Adds a sending domain, publishes every record the API asks for, has them looked at, and gives them back. */
export async function verifiedDomain(call: Call, dns: DnsServer, domain: string): Promise<PublishedRecord[]> {
  const created = await call<{ records: PublishedRecord[] }>('POST', '/v1/user-settings/domains', { domain });
  assert.equal(created.status, 201, JSON.stringify(created.body));
  publish(dns, domain, created.body.records);
  const verified = await call<{ status: string }>('POST', `/v1/user-settings/domains/${domain}/verify`);
  assert.equal(verified.body.status, 'verified', JSON.stringify(verified.body));
  return created.body.records;
}
