/**
 * Webhooks as their user meets them: registered over HTTP, received by a server of another process, verified with the official library of
 * Standard Webhooks.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { type Receiver, startReceiver } from '@maildoot/testkit/webhook-receiver';
import pg from 'pg';
import { client, type Platform, startPlatform } from '../platform.ts';

interface Callback {
  id: string;
  secret: string;
  enabled: boolean;
}
interface Attempts {
  data: { event_id: string; outcome: string; http_status: number | null }[];
}

let platform: Platform;
let receiver: Receiver;
before(async () => {
  receiver = await startReceiver();
  platform = await startPlatform();
});
after(async () => {
  await platform[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

test('a message that is delivered is told to a callback: signed, once per id, as the feed and the timeline have it', async () => {
  const call = client(platform.api, platform.key);
  const made = await call<Callback>('POST', '/v1/user-settings/callbacks', {
    url: receiver.url('shop'),
    events: ['message.accepted', 'message.delivered'],
  });
  assert.equal(made.status, 201);
  const { id, secret } = made.body;
  await receiver.behave('shop', { secrets: [secret] });
  const sent = await call<{ id: string }>('POST', '/v1/messages', {
    from: 'shop@example.com',
    to: 'user@example.net',
    subject: 'Your order',
    text: 'It is on its way.',
    metadata: { order: '4711' },
  });
  assert.equal(sent.status, 202);
  const came = await waitFor(
    async () => {
      const list = await receiver.seen('shop');
      return list.length >= 2 && list;
    },
    { what: 'both webhooks' },
  );
  assert.deepEqual(came.map(({ type }) => type).sort(), ['message.accepted', 'message.delivered']);
  for (const one of came) assert.deepEqual(one.verified, [true]);

  const feed = await call<{ data: { id: string; type: string }[] }>('GET', '/v1/events');
  for (const one of came)
    assert.deepEqual(
      JSON.parse(one.body),
      feed.body.data.find((event) => event.id === one.id),
    );
  const attempts = await waitFor(
    async () => {
      const { body } = await call<Attempts>('GET', `/v1/user-settings/callbacks/${id}/attempts`);
      return body.data.length === 2 && body.data;
    },
    { what: 'both attempts' },
  );
  assert.ok(attempts.every((attempt) => attempt.outcome === 'succeeded' && attempt.http_status === 200));
  const timeline = await call<{ recipients: { webhook_attempts: { event_type: string }[] }[] }>(
    'GET',
    `/v1/messages/${sent.body.id}/timeline`,
  );
  assert.deepEqual(
    timeline.body.recipients[0]?.webhook_attempts.map((attempt) => attempt.event_type),
    ['message.delivered'],
  );
});

test('a callback is tested, rotated, changed, replayed and deleted; what is wrong with one is told with its path', async () => {
  const call = client(platform.api, platform.key);
  const made = await call<Callback>('POST', '/v1/user-settings/callbacks', { url: receiver.url('life'), events: ['domain.*'] });
  const { id, secret } = made.body;
  const path = `/v1/user-settings/callbacks/${id}`;
  const rotated = await call<Callback>('POST', `${path}/rotate-secret`);
  assert.equal(rotated.status, 200);
  await receiver.behave('life', { secrets: [secret, rotated.body.secret] });
  assert.equal((await call('POST', `${path}/test`)).status, 200);
  const [tested] = await waitFor(
    async () => {
      const list = await receiver.seen('life');
      return list.length === 1 && list;
    },
    { what: 'the test' },
  );
  assert.deepEqual([tested?.type, tested?.verified], ['callback.test', [true, true]]);

  const disabled = await call<Callback & { disabled_reason: string }>('PATCH', path, { enabled: false });
  assert.deepEqual([disabled.body.enabled, disabled.body.disabled_reason], [false, 'owner']);
  const replayed = await call<{ callback: Callback }>('POST', `${path}/replay`, { since: new Date(1).toISOString() });
  assert.deepEqual([replayed.status, replayed.body.callback.enabled], [200, true]);

  const wrong = await call<{ error: { issues: { path: string; code: string }[] } }>('POST', '/v1/user-settings/callbacks', {
    url: 'https://10.0.0.1/hook',
    events: ['mesage.*'],
  });
  assert.equal(wrong.status, 400);
  assert.deepEqual(
    wrong.body.error.issues.map((issue) => issue.path),
    ['events[0]'],
  );
  const inside = await call<{ error: { issues: { path: string; code: string }[] } }>('POST', '/v1/user-settings/callbacks', {
    url: 'https://10.0.0.1/hook',
  });
  assert.deepEqual(
    inside.body.error.issues.map(({ path: at, code }) => [at, code]),
    [['url', 'address_refused']],
  );

  assert.equal((await call('DELETE', path)).status, 204);
  assert.equal((await call('GET', path)).status, 404);
});

test('whose callback wants nothing any more is written to, as the owner of the account', async () => {
  const call = client(platform.api, platform.key);
  const { body } = await call<Callback>('POST', '/v1/user-settings/callbacks', { url: receiver.url('gone'), events: ['message.accepted'] });
  await receiver.behave('gone', { status: 410 });
  const mail = { from: 'shop@example.com', to: 'user@example.net', subject: 'x', text: 'x' };
  assert.equal((await call('POST', '/v1/messages', mail)).status, 202);
  await waitFor(async () => !(await call<Callback>('GET', `/v1/user-settings/callbacks/${body.id}`)).body.enabled, {
    what: 'the callback to be disabled',
  });
  const database = new pg.Client({ connectionString: await platform.databaseUrl() });
  await database.connect();
  try {
    const notice = await waitFor(
      async () => {
        const { rows } = await database.query<{ email: string; tags: string[] }>(
          `SELECT r.email, m.tags FROM messaging.message m JOIN messaging.recipient r ON r.message_id = m.id
           WHERE m.subject = 'Your webhook to 127.0.0.1 was disabled'`,
        );
        return rows[0];
      },
      { what: 'the notice' },
    );
    assert.deepEqual([notice.email, notice.tags], ['owner@localhost.localdomain', ['callback_disabled']]);
    await waitFor(async () => (await database.query('SELECT FROM messaging.callback_notice')).rowCount === 0, {
      what: 'it to be done with',
    });
  } finally {
    await database.end();
  }
});
