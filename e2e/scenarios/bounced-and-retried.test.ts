/**
 * A refused recipient ends bounced; a deferred one is tried again on schedule and ends delivered. The timeline says why in the
 * receiver's own words. The schedule is seconds here; hours of it on a test's clock are in services/delivery/test.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Call, startPlatform } from '../platform.ts';

interface Recipient {
  email: string;
  status: string;
  attempts: unknown[];
  events: {
    type: string;
    at: string;
    attempt?: { number: number; next_attempt_at?: string; session?: { reply?: string; reply_code?: number; enhanced_code?: string } };
  }[];
}

test('permanent failures bounce, temporary ones are retried on schedule and delivered', async () => {
  await using dns = await startInternet();
  await using receiver = await startSmtpReceiver();
  await using platform = await startPlatform({
    env: { DELIVERY: 'smarthost', SMARTHOST: receiver.address, DNS_SERVERS: dns.address, RETRY_SCHEDULE: '2,3,4,600' },
  });
  const { call } = platform;
  await verifiedDomain(call, dns, 'shop.example');

  const sent = await call<{ id: string }>('POST', '/v1/messages', {
    from: 'a@shop.example',
    to: ['bounce@example.org', 'defer-3@example.org', 'accept@example.org'],
    subject: 'Three ways',
    text: 'Hello',
  });
  assert.equal(sent.status, 202);

  await settled(call, sent.body.id, { 'bounce@example.org': 'bounced', 'accept@example.org': 'delivered' });
  let next: number | undefined;
  await waitFor(
    async () => {
      next ??= await nextAttempt(call, sent.body.id);
      return (await recipient(call, sent.body.id, 'defer-3@example.org')).status === 'delivered';
    },
    { what: 'the deferred recipient to end delivered' },
  );
  assert.equal((await call<{ status: string }>('GET', `/v1/messages/${sent.body.id}`)).body.status, 'partially_delivered');
  assert.equal(receiver.mailFor('defer-3@example.org').length, 1);
  assert.equal(receiver.mailFor('accept@example.org').length, 1);

  const bounced = await recipient(call, sent.body.id, 'bounce@example.org');
  assert.match(JSON.stringify(bounced.events), /user unknown/);
  assert.match(JSON.stringify(bounced.events), /5\.1\.1/);
  const deferred = await recipient(call, sent.body.id, 'defer-3@example.org');
  assert.equal(deferred.attempts.length, 4);
  assert.match(JSON.stringify(deferred.events), /try again later/);
  const deferrals = deferred.events.filter(({ type }) => type === 'message.deferred').map(({ at }) => Date.parse(at));
  const delivered = deferred.events.filter(({ type }) => type === 'message.delivered').map(({ at }) => Date.parse(at));
  assert.equal(deferrals.length, 3);
  const announced = deferred.events.flatMap(({ attempt }) => (attempt?.next_attempt_at ? [Date.parse(attempt.next_attempt_at)] : []));
  assert.equal(announced.length, 3, 'the API announces every attempt that is to come');
  assert.ok(next !== undefined && announced.includes(next), 'and says which one is the next');
  // No attempt comes before it was announced: what follows a deferral is its next attempt's end.
  const ends = [...deferrals.slice(1), ...delivered];
  for (const [index, at] of announced.entries()) {
    assert.ok(at > (deferrals[index] as number), `attempt ${index + 2} was due after attempt ${index + 1}`);
    assert.ok((ends[index] as number) >= at, `attempt ${index + 2} was not made before it was due`);
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
    await waitFor(async () => (await recipient(call, id, email)).status === status, { what: `${email} ${status}` });
  }
}

/** When the API says that the next attempt is due. */
async function nextAttempt(call: Call, id: string): Promise<number | undefined> {
  const { body } = await call<{ recipients: { next_attempt_at?: string }[] }>('GET', `/v1/messages/${id}`);
  const next = body.recipients.map((one) => one.next_attempt_at).find((at) => at);
  return next === undefined ? undefined : Date.parse(next);
}
