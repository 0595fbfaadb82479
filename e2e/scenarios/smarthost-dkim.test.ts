/**
 * Through DELIVERY=smarthost a message reaches a server of another make, and a verifier of another make fetches the key over DNS
 * from the record that the API said to publish. One flipped byte of the body fails it.
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

const received: { to: string[]; raw: Buffer }[] = [];
let dns: DnsServer;
let smarthost: SMTPServer;
let platform: Platform;

before(async () => {
  dns = await startInternet();
  smarthost = new SMTPServer({
    authOptional: true,
    async onData(stream, session, done) {
      const raw = Buffer.concat(await stream.toArray());
      received.push({ to: session.envelope.rcptTo.map(({ address }) => address), raw });
      done();
    },
  });
  const listener = smarthost.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  platform = await startPlatform({
    env: { DELIVERY: 'smarthost', SMARTHOST: `127.0.0.1:${(listener.address() as AddressInfo).port}`, DNS_SERVERS: dns.address },
  });
});
after(async () => {
  await platform[Symbol.asyncDispose]();
  await new Promise<void>((resolve) => smarthost.close(resolve));
  await dns[Symbol.asyncDispose]();
});

test('a domain that is not verified can’t send', async () => {
  const answer = await platform.call<{ error: { code: string } }>('POST', '/v1/messages', {
    from: 'a@unknown.example',
    to: 'b@example.org',
    text: 'x',
  });
  assert.equal(answer.status, 403);
  assert.equal(answer.body.error.code, 'DOMAIN_NOT_VERIFIED');
});

test('the message arrives, its signature passes, and one flipped body byte fails it', async () => {
  await verifiedDomain(platform.call, dns, 'shop.example');
  const html = '<p>Grüße aus dem Lager – “fertig”. 📦</p>\r\n.\r\n..\r\n';
  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', {
    from: 'Lager <no-reply@shop.example>',
    to: ['user@example.com', 'Ünal <other@example.com>'],
    bcc: 'hidden@example.org',
    subject: 'Bestellung bestätigt ✓',
    html,
    attachments: [{ filename: 'a.bin', content: Buffer.from([0, 1, 2, 255]).toString('base64') }],
  });
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  await waitFor(() => received.flatMap(({ to }) => to).length === 3, { what: 'three recipients' });
  assert.deepEqual(received.flatMap(({ to }) => to).sort(), ['hidden@example.org', 'other@example.com', 'user@example.com']);

  const raw = received[0]?.raw as Buffer;
  assert.doesNotMatch(raw.toString('latin1'), /hidden@example\.org/);
  assert.equal(await dkim(raw), 'pass');
  const flipped = Buffer.from(raw);
  const at = flipped.indexOf('\r\n\r\n') + 10;
  flipped[at] = (flipped[at] as number) ^ 1;
  assert.notEqual(await dkim(flipped), 'pass');

  const status = await waitFor(
    async () => {
      const { body } = await platform.call<{ status: string }>('GET', `/v1/messages/${sent.body.id}`);
      return body.status === 'delivered' ? body.status : undefined;
    },
    { what: 'the status delivered' },
  );
  assert.equal(status, 'delivered');
});

/** mailauth's verdict on the first signature; it asks the test DNS itself. */
async function dkim(raw: Buffer): Promise<string> {
  const resolver = new Resolver();
  resolver.setServers([dns.address]);
  const { results } = (await dkimVerify(raw, {
    resolver: (name: string) => resolver.resolveTxt(name),
  })) as { results: { status: { result: string } }[] };
  return results[0]?.status.result ?? 'none';
}
