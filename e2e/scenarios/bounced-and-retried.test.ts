/**
 * A refused recipient ends bounced; a deferred one is tried again on schedule and ends delivered. The timeline says why in the
 * receiver's own words. Hours pass on the test's clock, not on the wall.
 */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from '@maildoot/standalone/config';
import { start } from '@maildoot/standalone/service';
import { TestClock } from '@maildoot/testkit/clock';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Call, client, temporaryHome } from '../platform.ts';

interface Recipient {
  email: string;
  status: string;
  attempts: unknown[];
  events: { type: string; attempt?: { number: number; session?: { reply?: string; reply_code?: number; enhanced_code?: string } } }[];
}

test('permanent failures bounce, temporary ones are retried on the clock and delivered', async () => {
  const home = await temporaryHome();
  try {
    await using dns = await startInternet();
    await using receiver = await startSmtpReceiver();
    const clock = new TestClock();
    const config = loadSettings(settings, {
      MAILDOOT_HOME: home,
      HTTP_PORT: '0',
      DELIVERY: 'smarthost',
      SMARTHOST: receiver.address,
      DNS_SERVERS: dns.address,
      LOG_LEVEL: 'silent',
    });
    await using platform = await start(config, { clock });
    const call = client(platform.httpUrl, platform.key);
    await verifiedDomain(call, dns, 'shop.example');

    const sent = await call<{ id: string }>('POST', '/v1/messages', {
      from: 'a@shop.example',
      to: ['bounce@example.org', 'defer-3@example.org', 'accept@example.org'],
      subject: 'Three ways',
      text: 'Hello',
    });
    assert.equal(sent.status, 202);

    await settled(call, sent.body.id, {
      'bounce@example.org': 'bounced',
      'defer-3@example.org': 'deferred',
      'accept@example.org': 'delivered',
    });
    for (let attempt = 2; attempt <= 4; attempt++) {
      await clockBeyond(clock, call, sent.body.id);
      await waitFor(async () => (await recipient(call, sent.body.id, 'defer-3@example.org')).attempts.length === attempt, {
        timeoutMs: 20_000,
        what: `attempt ${attempt}`,
      });
    }
    await settled(call, sent.body.id, { 'defer-3@example.org': 'delivered' });
    assert.equal((await call<{ status: string }>('GET', `/v1/messages/${sent.body.id}`)).body.status, 'partially_delivered');
    assert.equal(receiver.mailFor('defer-3@example.org').length, 1);
    assert.equal(receiver.mailFor('accept@example.org').length, 1);

    const bounced = await recipient(call, sent.body.id, 'bounce@example.org');
    assert.match(JSON.stringify(bounced.events), /user unknown/);
    assert.match(JSON.stringify(bounced.events), /5\.1\.1/);
    const deferred = await recipient(call, sent.body.id, 'defer-3@example.org');
    assert.equal(deferred.events.filter(({ type }) => type === 'message.deferred').length, 3);
    assert.match(JSON.stringify(deferred.events), /try again later/);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

async function recipient(call: Call, id: string, email: string): Promise<Recipient> {
  const { body } = await call<{ recipients: Recipient[] }>('GET', `/v1/messages/${id}/timeline`);
  const found = body.recipients.find((one) => one.email === email);
  assert.ok(found, JSON.stringify(body));
  return found;
}

async function settled(call: Call, id: string, statuses: Record<string, string>): Promise<void> {
  for (const [email, status] of Object.entries(statuses)) {
    await waitFor(async () => (await recipient(call, id, email)).status === status, { timeoutMs: 20_000, what: `${email} ${status}` });
  }
}

/** Moves the clock to just after the next attempt that the API announces. */
async function clockBeyond(clock: TestClock, call: Call, id: string): Promise<void> {
  const { body } = await call<{ recipients: { next_attempt_at?: string }[] }>('GET', `/v1/messages/${id}`);
  const next = body.recipients.map((one) => one.next_attempt_at).find((at) => at);
  assert.ok(next, 'the API announces when the next attempt is due');
  const aheadMs = Date.parse(next) - clock.now().getTime();
  assert.ok(aheadMs > 0, 'the attempt is due in the future');
  await clock.advance(aheadMs + 1);
}
