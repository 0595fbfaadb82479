/**
 * A newsletter on its whole way: each recipient gets links of its own, inside a signature that a verifier of another make passes;
 * one click unsubscribes that recipient and nobody else, a program that looks at the link unsubscribes nobody; a tracked link leads on.
 */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { DnsServer } from '@maildoot/testkit/dns';
import { waitFor } from '@maildoot/testkit/wait';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { SMTPServer } from 'smtp-server';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Platform, startPlatform } from '../platform.ts';

const received = new Map<string, Buffer>();
let dns: DnsServer;
let smarthost: SMTPServer;
let platform: Platform;

before(async () => {
  dns = await startInternet();
  smarthost = new SMTPServer({
    authOptional: true,
    async onData(stream, session, done) {
      const raw = Buffer.concat(await stream.toArray());
      for (const { address } of session.envelope.rcptTo) received.set(address, raw);
      done();
    },
  });
  const listener = smarthost.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  platform = await startPlatform({ env: { DELIVERY: 'smarthost', SMARTHOST: `127.0.0.1:${port}`, DNS_SERVERS: dns.address } });
  await verifiedDomain(platform.call, dns, 'shop.example');
});
after(async () => {
  await platform[Symbol.asyncDispose]();
  await new Promise<void>((resolve) => smarthost.close(resolve));
  await dns[Symbol.asyncDispose]();
});

const newsletter = {
  from: 'news@shop.example',
  to: ['ada@example.com', 'bob@example.com'],
  subject: 'News',
  html: '<p>Grüße! <a href="https://shop.example/read?a=1&amp;b=2">Read on</a></p>',
  stream: 'broadcast',
  tracking: { opens: true, clicks: true },
  unsubscribe: { group: 'weekly' },
};

const onOneLine = (raw: Buffer): string => raw.toString('latin1').replaceAll('=\r\n', '').replaceAll('=3D', '=');
const unsubscribeLink = (raw: Buffer): string => /^List-Unsubscribe: <([^>]+)>\r$/m.exec(raw.toString('latin1'))?.[1] ?? '';
const pathOf = (link: string): string => `${platform.api}${new URL(link).pathname}`;

test('each recipient has links of its own inside the signature; one click is one recipient’s', async () => {
  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', newsletter);
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  await waitFor(() => received.size === 2, { what: 'both mails' });
  const [ada, bob] = ['ada@example.com', 'bob@example.com'].map((address) => received.get(address) ?? Buffer.alloc(0)) as [Buffer, Buffer];
  for (const raw of [ada, bob]) {
    assert.match(raw.toString('latin1'), /^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
    const { result, signed } = await dkim(raw);
    assert.equal(result, 'pass');
    assert.ok(signed.includes('list-unsubscribe') && signed.includes('list-unsubscribe-post'), signed.join());
  }
  assert.notEqual(unsubscribeLink(ada), unsubscribeLink(bob));

  const link = pathOf(unsubscribeLink(bob));
  assert.equal((await fetch(link)).status, 200);
  const list = async () =>
    (await platform.call<{ data: { email: string; stream: string }[] }>('GET', '/v1/user-settings/suppressions')).body.data;
  assert.deepEqual(await list(), [], 'looking at the link changes nothing');
  const oneClick = await fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }), redirect: 'error' });
  assert.equal(oneClick.status, 200);
  assert.deepEqual(
    (await list()).map(({ email, stream }) => [email, stream]),
    [['bob@example.com', 'weekly']],
  );

  received.clear();
  const next = await platform.call<{ id: string }>('POST', '/v1/messages', newsletter);
  await waitFor(
    async () => (await platform.call<{ status: string }>('GET', `/v1/messages/${next.body.id}`)).body.status === 'partially_delivered',
    { what: 'the next one' },
  );
  assert.deepEqual([...received.keys()], ['ada@example.com']);
});

test('a tracked link leads on, and the click is in the message’s events', async () => {
  received.clear();
  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', { ...newsletter, to: 'cid@example.com' });
  const raw = await waitFor(() => received.get('cid@example.com'), { what: 'the mail' });
  const text = onOneLine(raw);
  const [plain = ''] = text.split('Content-Type: text/html');
  assert.match(plain, /https:\/\/shop\.example\/read\?a=1&b=2/);
  const click = /href="([^"]+\/t\/c\/[\w-]+)"/.exec(text)?.[1] ?? '';
  const answer = await fetch(pathOf(click), { redirect: 'manual' });
  assert.equal(answer.headers.get('location'), 'https://shop.example/read?a=1&b=2');
  assert.equal((await fetch(`${pathOf(click).slice(0, -3)}AAA`, { redirect: 'manual' })).status, 404);
  const picture = /src="([^"]+\/t\/o\/[\w-]+)"/.exec(text)?.[1] ?? '';
  assert.equal((await fetch(pathOf(picture))).headers.get('content-type'), 'image/gif');
  await waitFor(
    async () => {
      const { body } = await platform.call<{ events: { type: string }[] }>('GET', `/v1/messages/${sent.body.id}`);
      const types = body.events.map(({ type }) => type);
      return types.includes('message.clicked') && types.includes('message.opened');
    },
    { what: 'both events' },
  );
});

/** mailauth's verdict on the first signature, and the names in its `h=`. */
async function dkim(raw: Buffer): Promise<{ result: string; signed: string[] }> {
  const resolver = new Resolver();
  resolver.setServers([dns.address]);
  const { results } = (await dkimVerify(raw, { resolver: (name: string) => resolver.resolveTxt(name) })) as {
    results: { status: { result: string } }[];
  };
  const header = /^DKIM-Signature:(?:.*\r\n)(?:[ \t].*\r\n)*/m.exec(raw.toString('latin1'))?.[0] ?? '';
  const signed = /h=([^;]+);/.exec(header.replace(/\r\n[ \t]+/g, ' '))?.[1] ?? '';
  return { result: results[0]?.status.result ?? 'none', signed: signed.split(':').map((name) => name.trim()) };
}
