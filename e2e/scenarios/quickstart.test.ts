/**
 * The documentation is run as its reader would run it: the quickstart on a fresh platform, then each page of concepts as a tenant of its own. What
 * the pages show as printed is what is printed. The reader's DNS is the test's.
 */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createTenant } from '@maildoot/standalone/first-tenant';
import { Home } from '@maildoot/standalone/home';
import { connectAuth, passwordPage, running } from '@maildoot/standalone/operator-client';
import type { DnsServer } from '@maildoot/testkit/dns';
import { freePort } from '@maildoot/testkit/ports';
import { publish } from '@maildoot/testkit/publish';
import { follow, type Reader } from '../fences.ts';
import { type PublishedRecord, startInternet } from '../internet.ts';
import { client, type Platform, startPlatform } from '../platform.ts';

const docs = fileURLToPath(new URL('../../docs', import.meta.url));
const services = fileURLToPath(new URL('../../services', import.meta.url));

const parts = new AsyncDisposableStack();
let dns: DnsServer;
let platform: Platform;
before(async () => {
  dns = parts.use(await startInternet());
  platform = parts.use(await startPlatform({ env: { DNS_SERVERS: dns.address } }));
});
after(() => parts.disposeAsync());

test('quickstart.md: from a key to a webhook and a timeline', async () => {
  const steps = await follow(`${docs}/quickstart.md`, await reader(platform.key, () => ({})));
  assert.ok(steps >= 10, `only ${steps} fences were run`);
});

for (const page of globSync('concepts/*.md', { cwd: docs }).sort()) {
  test(`${page}: what it shows is what comes`, async () => {
    const email = `${basename(page, '.md')}@example.net`;
    const { key, link } = await newTenant(email);
    await follow(
      `${docs}/${page}`,
      await reader(key, (directory) => ({ API: platform.api, KEY: key, MAILDOOT: directory, EMAIL: email, PASSWORD_LINK: link })),
    );
  });
}

/** As `make tenant` makes one; by a process of its own it would take longer than most pages. */
async function newTenant(email: string): Promise<{ key: string; link: string }> {
  const home = await Home.open(platform.home);
  const { authAddress, api } = await running(home);
  const { key } = await createTenant(home, authAddress, email, email);
  await using auth = connectAuth(home, authAddress);
  const { token } = await auth.createPasswordLink({ email, onlyIfNone: false });
  return { key, link: passwordPage(api, token) };
}

async function reader(key: string, env: Reader['env']): Promise<Reader> {
  return {
    env,
    replaced: { 'http://127.0.0.1:8080': platform.api, '3000': String(await freePort()) },
    elsewhere: { 'publishes the records': () => publishAll(key) },
    links: { '.maildoot': platform.home, services },
  };
}

/** Puts what the API asks for into the DNS, for each domain that this reader has. */
async function publishAll(key: string): Promise<void> {
  const { body } = await client(platform.api, key)<{ data: { domain: string; records: PublishedRecord[] }[] }>(
    'GET',
    '/v1/user-settings/domains',
  );
  assert.ok(body.data.length > 0, 'the reader has no domain');
  for (const { domain, records } of body.data) publish(dns, domain, records);
}
