// The GETs: what is asked of the services, and how their answers are shown.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { ListCapturedMailRequest } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { type ListMessagesRequest, MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { rpcErrors } from '@maildoot/rpc/errors';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { cursorAfter } from '../src/cursor.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';
import { sampleTemplate } from './samples.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
  tenant = services.addTenant();
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
beforeEach(() => {
  services.asked.length = 0;
  for (const rpc of ['listMessages', 'getContent', 'listCapturedMail', 'getMessage']) services.instead(rpc);
});

const get = (path: string, options: Parameters<Gateway['call']>[2] = {}) =>
  gateway.call('GET', path, { key: tenant.keys.full, ...options });

test('every filter of the list of messages arrives at messaging', async () => {
  const batch = newId('bat');
  const after = newId('msg');
  const template = newId('tpl');
  const { json } = await get(
    `/v1/messages?limit=7&cursor=${cursorAfter('msg', after)}&status=partially_delivered&from=a@B%C3%BCcher.example&to=t@x.example&subject=he%20llo&tag=a%26b` +
      `&metadata[order]=7&metadata[x.y]=8&domain=X.Example&created_after=2026-01-01T00:00:00Z&created_before=2026-02-01T01:00:00%2B01:00&batch_id=${batch}&template_id=${template}&stream=broadcast`,
  );
  assert.deepEqual(services.requestsOf<ListMessagesRequest>('listMessages'), [
    {
      limit: 7,
      afterId: after,
      status: MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED,
      from: 'a@xn--bcher-kva.example',
      to: 't@x.example',
      subject: 'he llo',
      tag: 'a&b',
      metadata: { order: '7', 'x.y': '8' },
      domain: 'x.example',
      createdAfter: new Date('2026-01-01T00:00:00Z'),
      createdBefore: new Date('2026-02-01T00:00:00Z'),
      batchId: batch,
      templateId: template,
      stream: 'broadcast',
    },
  ]);
  assert.ok((json as { searched_back_to?: string }).searched_back_to);
});

test('without filters a list has 20 entries at most and does not say how far it looked', async () => {
  const { json } = await get('/v1/messages');
  assert.equal(services.requestsOf<ListMessagesRequest>('listMessages')[0]?.limit, 20);
  assert.ok(!('searched_back_to' in (json as object)));
});

test('messages of a template are found by its alias; of one that isn’t there there are none', async () => {
  services.instead('getTemplate', () => ({ template: sampleTemplate(tenant.templateId) }));
  assert.equal((await get('/v1/messages?template_id=order-confirmed')).status, 200);
  services.instead('getTemplate');
  const none = await get('/v1/messages?template_id=no-such');
  assert.deepEqual([none.status, none.json], [200, { data: [], next_cursor: null, searched_back_to: null }]);
  assert.deepEqual(
    services.requestsOf<ListMessagesRequest>('listMessages').map(({ templateId }) => templateId),
    [tenant.templateId],
  );
  await get(`/v1/messages?template_id=${newId('tpl')}`);
  assert.equal(services.requestsOf('getTemplate').length, 2, 'an id is not looked up: its template may be deleted');
});

test('a page leads to the next one', async () => {
  const last = newId('msg');
  services.instead('listMessages', () => ({ messages: [], nextAfterId: last, searchedBackTo: undefined }));
  const { json } = await get('/v1/messages?tag=x');
  const { next_cursor } = json as { next_cursor: string };
  await get(`/v1/messages?cursor=${next_cursor}`);
  assert.equal(services.requestsOf<ListMessagesRequest>('listMessages')[1]?.afterId, last);
});

for (const [query, issues] of [
  ['limit=0', ['limit too_small']],
  ['limit=101', ['limit too_large']],
  ['limit=1.5', ['limit invalid_type']],
  ['limit=abc', ['limit invalid_type']],
  ['limit=', ['limit invalid_type']],
  ['limit=5&limit=6', ['limit invalid_type']],
  ['cursor=nonsense', ['cursor invalid_cursor']],
  [`cursor=${cursorAfter('key', newId('key'))}`, ['cursor invalid_cursor']],
  ['status=sent', ['status invalid_value']],
  ['from=nope', ['from invalid_email']],
  ['created_after=yesterday', ['created_after invalid_time']],
  ['batch_id=bat_x', ['batch_id invalid_id']],
  ['domain=a..b', ['domain invalid_domain']],
  ['metadata[a]=1&metadata[a]=2', ['metadata[a] invalid_type']],
  ['metadata=x', ['metadata invalid_type']],
  ['subject=%00', ['subject control_character']],
  ['metadata[a]=x%00', ['metadata[a] control_character']],
  ['template_id=a%20b', ['template_id unknown_template']],
  ['__proto__=x&constructor=y', ['__proto__ unknown_field', 'constructor unknown_field']],
  ['limit=0&statuss=sent&from=nope', ['from invalid_email', 'limit too_small', 'statuss unknown_field']],
] as const) {
  test(`refused: ?${query}`, async () => {
    const response = await get(`/v1/messages?${query}`);
    assert.equal(response.status, 400);
    assert.deepEqual(response.issues.toSorted(), issues);
    assert.deepEqual(services.requestsOf('listMessages'), []);
  });
}

test('a message is shown with its recipients by kind and its events', async () => {
  const { json } = await get(`/v1/messages/${tenant.messageId}`);
  const shown = json as {
    to: { email: string }[];
    bcc: { email: string }[];
    recipients: { status: string; bounce: { diagnostic: string } | null }[];
    events: { type: string }[];
  };
  assert.deepEqual(
    shown.to.map(({ email }) => email),
    ['user@example.com'],
  );
  assert.deepEqual(
    shown.bcc.map(({ email }) => email),
    ['hidden@example.com'],
  );
  assert.deepEqual(
    shown.recipients.map(({ status }) => status),
    ['delivered', 'bounced'],
  );
  assert.equal(shown.recipients[1]?.bounce?.diagnostic, 'smtp; 550 5.1.1 user unknown');
  assert.equal(shown.events[0]?.type, 'message.delivered');
});

test('the timeline tells each attempt in numbers and in a sentence', async () => {
  const { json } = await get(`/v1/messages/${tenant.messageId}/timeline`);
  const [first] = (json as { recipients: { attempts: { summary: string; duration_ms: number; session: { reply: string } }[] }[] })
    .recipients;
  assert.equal(first?.attempts[0]?.summary, 'mx.example.com took the message over TLSv1.3 in 42 ms: 250 2.0.0 OK.');
  assert.equal(first?.attempts[0]?.duration_ms, 42);
  assert.equal(first?.attempts[0]?.session.reply, '2.0.0 OK');
});

test('the timeline explains each recipient, unless it is asked not to', async () => {
  type Shown = { recipients: { explain: { who_must_act: string; cause: string } | null }[] };
  for (const query of ['', '?explain=true']) {
    const { recipients } = (await get(`/v1/messages/${tenant.messageId}/timeline${query}`)).json as Shown;
    assert.deepEqual(
      recipients.map(({ explain }) => explain?.who_must_act),
      ['nobody', 'recipient'],
    );
    assert.match(recipients[0]?.explain?.cause ?? '', /took the message/);
  }
  const { recipients } = (await get(`/v1/messages/${tenant.messageId}/timeline?explain=false`)).json as Shown;
  assert.equal(recipients[0]?.explain, null);
  assert.deepEqual((await get(`/v1/messages/${tenant.messageId}/timeline?explain=1`)).issues, ['explain invalid_value']);
});

test('a captured message names its inbox wherever it is shown, another one names none', async () => {
  const shown = {
    id: tenant.messageId,
    status: 2,
    recipients: [],
    replyTo: [],
    tags: [],
    metadata: {},
    createdAt: new Date(),
    sizeBytes: 0n,
  };
  services.instead('getMessage', () => ({ message: { ...shown, captured: true }, events: [] }));
  services.instead('listMessages', () => ({
    messages: [
      { ...shown, captured: true },
      { ...shown, captured: false },
    ],
    nextAfterId: '',
  }));
  assert.equal(((await get(`/v1/messages/${tenant.messageId}`)).json as { inbox: string }).inbox, `${gateway.url}/inbox`);
  const { data } = (await get('/v1/messages')).json as { data: { inbox: string | null }[] };
  assert.deepEqual(
    data.map(({ inbox }) => inbox),
    [`${gateway.url}/inbox`, null],
  );
});

test('events of a message are objects like all others', async () => {
  for (const path of ['', '/timeline']) {
    const { json } = await get(`/v1/messages/${tenant.messageId}${path}`);
    const { events, recipients } = json as { events: Record<string, string>[]; recipients: { events?: Record<string, string>[] }[] };
    const [event] = [...events, ...recipients.flatMap((one) => one.events ?? [])];
    assert.equal(event?.object, 'event', path);
    assert.ok(event.at);
    assert.equal(event.created_at, event.at);
  }
});

test('a status of a later release does not make a message unreadable', async () => {
  services.instead('listMessages', () => ({
    messages: [{ id: newId('msg'), status: 99, recipients: [], replyTo: [], tags: [], metadata: {}, createdAt: new Date(), sizeBytes: 0n }],
    nextAfterId: '',
  }));
  const { json } = await get('/v1/messages');
  assert.equal((json as { data: { status: string }[] }).data[0]?.status, 'unknown');
});

test('content comes as MIME, in order, in frames', async () => {
  const frames = Array.from({ length: 40 }, (_, index) => Buffer.alloc(256 * 1024, index));
  services.content.set(tenant.messageId, frames);
  const { hash } = await import('node:crypto');
  const response = await fetch(`${gateway.url}/v1/messages/${tenant.messageId}/content`, {
    headers: { authorization: `Bearer ${tenant.keys.read}` },
  });
  assert.equal(response.headers.get('content-type'), 'message/rfc822');
  assert.equal(hash('sha256', Buffer.from(await response.arrayBuffer())), hash('sha256', Buffer.concat(frames)));
});

test('content that breaks off in the middle is not passed off as whole', async () => {
  services.instead('getContent', () => {
    const frames = [Buffer.from('first')][Symbol.iterator]();
    return {
      [Symbol.iterator]: () => ({
        next: () => {
          const step = frames.next();
          if (step.done) throw rpcErrors.UNAVAILABLE({ message: 'lost' });
          return step;
        },
      }),
    };
  });
  const response = await fetch(`${gateway.url}/v1/messages/${tenant.messageId}/content`, {
    headers: { authorization: `Bearer ${tenant.keys.read}` },
  });
  assert.equal(response.status, 200);
  await assert.rejects(response.text());
});

test('HEAD of content gives the call up after the first frame', async () => {
  services.content.set(
    tenant.messageId,
    Array.from({ length: 200 }, () => Buffer.alloc(256 * 1024)),
  );
  const head = await gateway.call('HEAD', `/v1/messages/${tenant.messageId}/content`, { key: tenant.keys.read });
  assert.equal(head.status, 200);
  assert.equal(head.headers['content-type'], 'message/rfc822');
});

test('the test inbox is asked with everything that was given', async () => {
  await get(
    `/v1/test/inbox?to=User@Example.COM&subject=code&message_id=${tenant.messageId}&wait=1&limit=3&cursor=${cursorAfter('cap', tenant.capturedId)}`,
  );
  assert.deepEqual(services.requestsOf<ListCapturedMailRequest>('listCapturedMail'), [
    { limit: 3, afterId: tenant.capturedId, to: 'User@example.com', subject: 'code', waitMs: 1000, messageId: tenant.messageId },
  ]);
  assert.deepEqual((await get('/v1/test/inbox?wait=61')).issues, ['wait too_large']);
});

test('a captured mail’s bytes come as they are', async () => {
  const { text, headers } = await get(`/v1/test/inbox/${tenant.capturedId}/raw`);
  assert.equal(text, 'Subject: hello\r\n\r\nHello!\r\n');
  assert.equal(headers['content-type'], 'message/rfc822');
});

test('a browser that opens the inbox’s API address is sent to the page', async () => {
  const answer = await gateway.call('GET', '/v1/test/inbox', { headers: { accept: 'text/html,application/xhtml+xml;q=0.9' } });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.location, '/inbox');
  assert.equal((await gateway.call('GET', '/v1/test/inbox', { headers: { accept: '*/*' } })).status, 401);
});

test('who stops waiting ends the wait behind the gateway too', async () => {
  const aborted = Promise.withResolvers<void>();
  services.instead(
    'listCapturedMail',
    (_request, call) => new Promise(() => call.signal.addEventListener('abort', () => aborted.resolve())),
  );
  const controller = new AbortController();
  const asked = fetch(`${gateway.url}/v1/test/inbox?wait=60`, {
    headers: { authorization: `Bearer ${tenant.keys.full}` },
    signal: controller.signal,
  });
  asked.catch(() => undefined);
  await waitFor(() => services.requestsOf('listCapturedMail').length === 1, { what: 'the wait to begin' });
  controller.abort();
  await aborted.promise;
});

for (const [path, rpc] of [
  ['/v1/messages', 'listMessages'],
  ['/v1/test/inbox', 'listCapturedMail'],
] as const) {
  test(`${path}: a service that is away is 503 with Retry-After, one that is slow 504`, async () => {
    services.instead(rpc, () => {
      throw rpcErrors.UNAVAILABLE({ message: 'away' });
    });
    const away = await get(path, { expectFailure: true });
    assert.equal(away.status, 503);
    assert.ok(away.headers['retry-after']);
    services.instead(rpc, () => {
      throw rpcErrors.TIMEOUT({ message: 'slow' });
    });
    assert.equal((await get(path, { expectFailure: true })).status, 504);
  });
}
