/** Through DELIVERY=direct the MX is found by DNS; the first of two is down, so the second gets the message and the timeline names both. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { startInternet, verifiedDomain } from '../internet.ts';
import { startPlatform } from '../platform.ts';

test('the second MX takes what the first one, which is down, can’t', async () => {
  await using dns = await startInternet();
  // MX hosts share one port, so the one that is down is an address where nobody listens on it.
  await using second = await startSmtpReceiver({ host: '127.0.0.2', hostname: 'mx2.example.org' });
  dns.setZone('example.org', {
    '@': {
      MX: [
        { preference: 10, exchange: 'mx1.example.org' },
        { preference: 20, exchange: 'mx2.example.org' },
      ],
    },
    mx1: { A: ['127.0.0.3'] },
    mx2: { A: ['127.0.0.2'] },
  });
  await using platform = await startPlatform({ env: { DELIVERY: 'direct', DNS_SERVERS: dns.address, MX_PORT: String(second.port) } });
  await verifiedDomain(platform.call, dns, 'shop.example');

  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', {
    from: 'a@shop.example',
    to: 'user@example.org',
    text: 'Hello',
  });
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const [mail] = await second.waitForMail('user@example.org');
  assert.match(mail?.raw.toString() ?? '', new RegExp(sent.body.id));
  assert.equal(mail?.tlsVersion, 'TLSv1.3');

  assert.ok(dns.queries.some(({ name, type }) => name === 'example.org' && type === 'MX'));
  const timeline = await waitFor(
    async () => {
      const answer = await platform.call<{ status: string }>('GET', `/v1/messages/${sent.body.id}/timeline`);
      return answer.body.status === 'delivered' ? answer : undefined;
    },
    { what: 'the status delivered' },
  );
  assert.match(JSON.stringify(timeline.body), /mx1\.example\.org/);
  assert.match(JSON.stringify(timeline.body), /mx2\.example\.org/);
});
