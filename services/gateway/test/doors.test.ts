// The doors for recipients: the picture, the tracked link, the unsubscribe link. And what a sender asks of them, and of the list.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type LinkPurpose, linkKeys, linkToken, signTarget } from '@maildoot/mail/tracking-token';
import { DomainStatus, RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RecordEngagementRequest } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import type { AcceptMessagesRequest, DryRunRequest, RescheduleMessageRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { GetStatsRequest } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { StatsDimension } from '@maildoot/proto/maildoot/messaging/v1/stats';
import type { AddSuppressionsRequest } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { defineErrors } from '@maildoot/rpc/errors';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';
import { sampleDomain } from './samples.ts';

const linkKey = { id: 'k1', key: Buffer.alloc(32, 5) };
const env = { LINK_KEYS: `k1:${linkKey.key.toString('base64')}` };
const messageId = newId('msg');
const uuid = idToUuid('msg', messageId)!;
const token = (purpose: LinkPurpose, recipientNumber = 3, key = linkKey) => linkToken(key, purpose, { messageId: uuid, recipientNumber });

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, env);
  tenant = services.addTenant();
  services.mail.messageIds.add(messageId);
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
beforeEach(() => {
  services.asked.length = 0;
  services.mail.visits.length = 0;
  for (const rpc of ['recordEngagement', 'acceptMessages']) services.instead(rpc);
});

const open = (path: string, init: RequestInit = {}) => fetch(`${gateway.url}${path}`, { redirect: 'manual', ...init });
const visited = () => waitFor(() => services.mail.visits[0], { what: 'the visit' }) as Promise<RecordEngagementRequest>;

test('the picture is a picture whatever the token says, and tells of the opening only where it is one', async () => {
  for (const wrong of ['x', token('click'), token('open', 3, { id: 'other', key: Buffer.alloc(32, 6) })]) {
    const answer = await open(`/t/o/${wrong}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'image/gif');
  }
  const answer = await open(`/t/o/${token('open')}`, { headers: { 'User-Agent': 'Some Reader', 'Sec-Purpose': 'prefetch' } });
  assert.equal(Buffer.from(await answer.arrayBuffer()).toString('latin1', 0, 3), 'GIF');
  assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
  const { messageId: id, recipientNumber, userAgent, prefetch } = await visited();
  assert.deepEqual([id, recipientNumber, userAgent, prefetch], [messageId, 3, 'Some Reader', true]);
  assert.equal(services.mail.visits.length, 1);
});

test('a tracked link leads where it was written to lead, and nowhere else', async () => {
  const url = 'https://shop.example/a?b=1&c=%C3%BC';
  const answer = await open(`/t/c/${token('click')}${signTarget(linkKey, url)}`);
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get('location'), url);
  assert.equal((await visited()).url, url);
  const evil = 'https://evil.example/';
  const forged = [
    `${token('click')}${signTarget({ id: 'other', key: Buffer.alloc(32, 6) }, evil)}`,
    `${token('click')}${Buffer.from(evil).toString('base64url')}`,
    `${token('open')}${signTarget(linkKey, url)}`,
    `${token('click')}${signTarget(linkKey, 'javascript:alert(1)')}`,
    encodeURIComponent(evil),
  ];
  for (const one of forged) {
    const refused = await open(`/t/c/${one}`);
    assert.equal(refused.status, 404, one);
    assert.equal(refused.headers.get('location'), null);
  }
});

test('a reader goes on while messaging can’t be told', async () => {
  services.instead('recordEngagement', () => {
    throw new Error('down');
  });
  assert.equal((await open(`/t/c/${token('click')}${signTarget(linkKey, 'https://shop.example/')}`)).status, 302);
  assert.equal((await open(`/t/o/${token('open')}`)).status, 200);
});

test('an unsubscribe link shows a page and changes nothing; the POST unsubscribes, whatever its body', async () => {
  const path = `/u/${token('unsubscribe')}`;
  const page = await open(path, { headers: { Accept: 'text/html' } });
  assert.equal(page.status, 200);
  const html = await page.text();
  assert.match(html, /<form method="post">/);
  assert.match(html, /newsletter/);
  assert.ok(!html.includes('ada@example.com'), 'whoever has the link does not learn the address');
  assert.match(page.headers.get('content-security-policy') ?? '', /form-action 'self'/);
  assert.equal(services.mail.unsubscribed.size, 0);

  const oneClick = await open(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'List-Unsubscribe=One-Click',
  });
  assert.equal(oneClick.status, 200);
  assert.equal(oneClick.headers.get('set-cookie'), null);
  assert.deepEqual([...services.mail.unsubscribed], [`${messageId} 3`]);
  const form = new FormData();
  form.set('List-Unsubscribe', 'One-Click');
  for (const body of [form, undefined]) assert.equal((await open(path, { method: 'POST', ...(body && { body }) })).status, 200);
  assert.match(await (await open(path)).text(), /You are unsubscribed/);
});

test('what programs add to a link changes nothing, and HEAD is nobody who reads', async () => {
  const [link, leave] = [`/t/c/${token('click')}${signTarget(linkKey, 'https://shop.example/')}`, `/u/${token('unsubscribe')}`];
  for (const query of ['fbclid=x', 'a=1&a=2&b[c]=%ff', '?']) {
    const answer = await open(`${link}?${query}`);
    assert.deepEqual([answer.status, answer.headers.get('location')], [302, 'https://shop.example/'], query);
    assert.equal((await open(`/t/o/${token('open')}?${query}`)).status, 200, query);
    for (const method of ['GET', 'POST']) assert.equal((await open(`${leave}?${query}`, { method })).status, 200, `${method} ${query}`);
  }
  await waitFor(() => services.mail.visits.length === 6, { what: 'the visits' });
  assert.ok(services.mail.visits.every(({ prefetch }) => !prefetch));
  services.mail.visits.length = 0;
  assert.equal((await open(link, { method: 'HEAD' })).status, 302);
  assert.equal((await open(`/t/o/${token('open')}`, { method: 'HEAD' })).status, 200);
  await waitFor(() => services.mail.visits.length === 2, { what: 'the visits' });
  assert.ok(services.mail.visits.every(({ prefetch }) => prefetch));
});

test('a link of another kind, a forged one, and one of a message that is gone are not found', async () => {
  const gone = linkToken(linkKey, 'unsubscribe', { messageId: idToUuid('msg', newId('msg'))!, recipientNumber: 0 });
  for (const method of ['GET', 'POST']) {
    for (const wrong of [token('open'), token('unsubscribe', 3, { id: 'other', key: Buffer.alloc(32, 6) }), gone, 'x'])
      assert.equal((await open(`/u/${wrong}`, { method })).status, 404, `${method} ${wrong}`);
  }
});

test('without LINK_KEYS the links are signed by what all services share', async () => {
  await using other = await startGateway(services);
  const [shared] = linkKeys(undefined, 'x'.repeat(40));
  assert.equal((await fetch(`${other.url}/u/${linkToken(shared, 'unsubscribe', { messageId: uuid, recipientNumber: 3 })}`)).status, 404);
});

// ── what a sender asks ───────────────────────────────────────────────────────────────────────────────────────────────────

const call = (method: string, path: string, body?: unknown, more = {}) =>
  gateway.call(method, path, { key: tenant.keys.full, ...(body === undefined ? {} : { body }), ...more });
const message = { from: 'a@shop.example', to: 'b@example.com', text: 'x' };

test('an address to unsubscribe at is brought to its one form; what is none is refused', async () => {
  for (const [mailto, kept] of [
    ['Leave@Shop.Example', 'Leave@shop.example'],
    ['leave@Shop.Example?subject=Leave', 'leave@shop.example?subject=Leave'],
    ['', ''],
  ]) {
    services.asked.length = 0;
    assert.equal((await call('POST', '/v1/messages', { ...message, unsubscribe: { mailto } })).status, 202);
    assert.equal(services.requestsOf<AcceptMessagesRequest>('acceptMessages')[0]?.messages[0]?.unsubscribe?.mailto, kept);
  }
  for (const mailto of ['x', 'leave@shop.example?', 'leave@shop.example?a b', 'Leave <leave@shop.example>']) {
    const refused = await call('POST', '/v1/messages', { ...message, to: 'x', unsubscribe: { mailto } });
    assert.deepEqual(refused.issues.toSorted(), ['to invalid_email', 'unsubscribe.mailto invalid_email'], mailto);
  }
});

test('the fields of a message arrive at messaging; null is the same as leaving a field out', async () => {
  const full = {
    ...message,
    tracking: { opens: true, clicks: null },
    unsubscribe: { group: 'weekly', url: null, mailto: 'leave@shop.example' },
    stream: 'broadcast',
    pool: 'default',
  };
  const nothing = Object.fromEntries(
    [
      'cc',
      'bcc',
      'reply_to',
      'subject',
      'html',
      'headers',
      'attachments',
      'tags',
      'metadata',
      'send_at',
      'tracking',
      'unsubscribe',
      'pool',
      'stream',
      'dry_run',
      'idempotency_key',
    ].map((name) => [name, null]),
  );
  assert.equal((await call('POST', '/v1/messages', full)).status, 202);
  assert.equal((await call('POST', '/v1/messages', { ...message, to: { email: 'b@example.com', name: null }, ...nothing })).status, 202);
  const [first, second] = services.requestsOf<AcceptMessagesRequest>('acceptMessages');
  const [one, two] = [first?.messages[0], second?.messages[0]];
  assert.equal(first?.linkUrl, gateway.url);
  assert.deepEqual([one?.trackOpens, one?.trackClicks, one?.stream, one?.pool], [true, false, 'broadcast', 'default']);
  assert.deepEqual(one?.unsubscribe, { group: 'weekly', url: '', mailto: 'leave@shop.example' });
  const other = await call('POST', '/v1/messages', { ...message, pool: 'slow' });
  assert.deepEqual([other.status, other.issues], [400, ['pool unknown_pool']]);
  assert.deepEqual([two?.trackOpens, two?.unsubscribe, two?.stream, two?.cc, two?.sendAt], [false, undefined, '', [], undefined]);
});

test('an item’s idempotency key in a body that was used before says so in the header', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => ({
    results: request.messages.map(() => ({
      result: {
        $case: 'accepted',
        value: { id: newId('msg'), status: 2, createdAt: new Date(), estimatedSendAt: new Date(), warnings: [], captured: false },
      },
      replayed: true,
    })),
    replayed: false,
    batchId: '',
  }));
  const answer = await call('POST', '/v1/messages', { ...message, idempotency_key: 'k' });
  assert.equal(answer.status, 202);
  assert.equal(new Headers(answer.headers as Record<string, string>).get('idempotent-replayed'), 'true');
});

test('a dry run is one question that keeps nothing, and looks at DNS', async () => {
  const answer = await call('POST', '/v1/messages', { ...message, from: `a@${tenant.domain}`, dry_run: true });
  assert.equal(answer.status, 200);
  const { object, acceptable, mime, alignment } = answer.json as {
    object: string;
    acceptable: boolean;
    mime: string;
    alignment: Record<string, { result: string }>;
  };
  assert.deepEqual([object, acceptable, mime], ['dry_run', true, 'Subject: hello\r\n\r\nHello!\r\n']);
  assert.deepEqual(Object.keys(alignment), ['spf', 'dkim', 'dmarc']);
  assert.equal(services.requestsOf<DryRunRequest>('dryRun')[0]?.message?.from?.email, `a@${tenant.domain}`);
  assert.deepEqual(services.requestsOf('acceptMessages'), []);
  const batch = await call('POST', '/v1/messages', [{ ...message, dry_run: true }]);
  assert.equal(batch.status, 400);
  assert.match(batch.text, /not_in_a_batch/);
});

test('a dry run judges DKIM by the key that signs now: one that is published ahead doesn’t stand for it', async () => {
  for (const [signs, result] of [
    [DomainStatus.DOMAIN_STATUS_VERIFIED, 'pass'],
    [DomainStatus.DOMAIN_STATUS_DRIFTED, 'fail'],
  ] as const) {
    services.instead('verifyDomain', () => {
      const domain = sampleDomain(tenant.domain);
      const [record] = domain.records;
      assert.ok(record);
      const dkim = { ...record, purpose: RecordPurpose.RECORD_PURPOSE_DKIM };
      const ahead = { ...dkim, required: false, status: DomainStatus.DOMAIN_STATUS_VERIFIED };
      return { domain: { ...domain, records: [ahead, { ...dkim, required: true, status: signs, problem: '' }] }, replayed: false };
    });
    const answer = await call('POST', '/v1/messages', { ...message, from: `a@${tenant.domain}`, dry_run: true });
    services.instead('verifyDomain');
    assert.equal((answer.json as { alignment: { dkim: { result: string } } }).alignment.dkim.result, result);
  }
});

const refusal = defineErrors({ VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false } });

test('whether a key’s expiry is still to come is auth’s to say, behind its stored answers', async () => {
  const body = { name: 'CI', scope: 'read', expires_at: '2026-01-01T00:00:00Z' };
  assert.equal((await call('POST', '/v1/api-keys', body)).status, 201);
  services.instead('createApiKey', () => {
    const issues = [{ path: 'expires_at', code: 'not_in_future', message: 'Give an instant that is still to come.' }];
    throw refusal.VALIDATION_ERROR({ message: 'No.', issues });
  });
  const refused = await call('POST', '/v1/api-keys', body);
  services.instead('createApiKey');
  assert.deepEqual([refused.status, refused.issues], [400, ['expires_at not_in_future']]);
});

test('PATCH asks for another time, and for nothing else', async () => {
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  const answer = await call('PATCH', `/v1/messages/${tenant.messageId}`, { send_at: sendAt });
  assert.equal(answer.status, 200);
  assert.deepEqual(services.requestsOf<RescheduleMessageRequest>('rescheduleMessage')[0]?.sendAt, new Date(sendAt));
  for (const body of [{}, { send_at: null }, { send_at: sendAt, subject: 'x' }])
    assert.equal((await call('PATCH', `/v1/messages/${tenant.messageId}`, body)).status, 400);
});

test('a batch is cancelled by its id alone', async () => {
  const answer = await call('DELETE', `/v1/messages?batch_id=${tenant.batchId}`);
  assert.equal(answer.status, 200);
  const { cancelled, too_late } = answer.json as { cancelled: number; too_late: number };
  assert.deepEqual([cancelled, too_late], [1, 1]);
  assert.equal((await call('DELETE', '/v1/messages')).status, 400);
  assert.equal((await call('DELETE', `/v1/messages?batch_id=${newId('bat')}`)).status, 404);
});

test('what is no address to suppress is told where it stands, beside all else', async () => {
  const one = await call('POST', '/v1/user-settings/suppressions', { email: 'x', stream: 'A' });
  assert.deepEqual(one.issues.toSorted(), ['email invalid_email', 'stream invalid_format']);
  const suppressions = [{ email: 'a@example.com' }, { email: 'x' }];
  const many = await call('POST', '/v1/user-settings/suppressions/import', { suppressions });
  assert.deepEqual(many.issues, ['suppressions[1].email invalid_email']);
});

test('a domain is found by its name with the dot at the end, too', async () => {
  for (const [method, path, status] of [
    ['GET', '', 200],
    ['POST', '/verify', 200],
    ['DELETE', '', 204],
  ] as const)
    assert.equal((await call(method, `/v1/user-settings/domains/${tenant.domain}.${path}`)).status, status, method);
  assert.equal((await call('GET', `/v1/user-settings/domains/${tenant.domain}..`)).status, 404);
});

test('suppressions: one, many, as CSV, and off the list', async () => {
  const one = await call('POST', '/v1/user-settings/suppressions', { email: 'eve@example.com', stream: 'broadcast' });
  assert.equal(one.status, 201);
  const many = await call('POST', '/v1/user-settings/suppressions/import', {
    suppressions: [{ email: 'eve@example.com' }, { email: '=cmd@example.com', reason: 'complaint', stream: null }],
  });
  assert.deepEqual(many.json, { object: 'suppression_import', added: 1, known: 1 });
  const [, imported] = services.requestsOf<AddSuppressionsRequest>('addSuppressions');
  assert.deepEqual(imported?.suppressions[1], { email: '=cmd@example.com', stream: '', reason: 3 });
  const csv = await call('GET', '/v1/user-settings/suppressions/export');
  assert.equal(csv.status, 200);
  assert.match(csv.text, /^email,stream,reason,created_at\r\nuser@[a-z0-9]+\.example,transactional,manual,/);
  assert.match(csv.text, /\r\n'=cmd@example\.com,/, 'no spreadsheet takes it for a formula');
  assert.equal(
    (await call('DELETE', '/v1/user-settings/suppressions/EVE%40example.com?stream=broadcast')).status,
    404,
    'the fake compares as it is',
  );
  assert.equal((await call('DELETE', '/v1/user-settings/suppressions/eve@example.com')).status, 204);
  assert.equal((await call('DELETE', '/v1/user-settings/suppressions/no-address')).status, 404);
});

test('statistics: 30 days by day unless asked otherwise; one dimension at a time', async () => {
  assert.equal((await call('GET', '/v1/stats')).status, 200);
  const { fromDay, toDay, dimension, byDay } = services.requestsOf<GetStatsRequest>('getStats')[0]!;
  assert.equal(Date.parse(toDay) - Date.parse(fromDay), 29 * 86_400_000);
  assert.deepEqual([dimension, byDay], [StatsDimension.STATS_DIMENSION_NONE, true]);
  await call('GET', '/v1/stats?tag=a&from=2026-01-01&to=2026-01-31');
  await call('GET', '/v1/stats?group_by=domain');
  const [, tagged, grouped] = services.requestsOf<GetStatsRequest>('getStats');
  assert.deepEqual(tagged, {
    fromDay: '2026-01-01',
    toDay: '2026-01-31',
    dimension: StatsDimension.STATS_DIMENSION_TAG,
    value: 'a',
    byDay: true,
  });
  assert.deepEqual([grouped?.dimension, grouped?.value, grouped?.byDay], [StatsDimension.STATS_DIMENSION_DOMAIN, '', false]);
  await call('GET', '/v1/stats?domain=B%C3%BCcher.Example');
  assert.equal(services.requestsOf<GetStatsRequest>('getStats').at(-1)?.value, 'xn--bcher-kva.example');
  const ahead = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10);
  for (const bad of [
    'tag=a&domain=b',
    'from=2026-02-30',
    'from=2026-02-02&to=2026-02-01',
    `from=${ahead}`,
    'group_by=tag&domain=x',
    'domain=a..b',
  ])
    assert.equal((await call('GET', `/v1/stats?${bad}`)).status, 400, bad);
});
