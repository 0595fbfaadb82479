// POST /v1/messages: what is taken, in which forms, what becomes of it at messaging, and what is answered.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { AcceptMessagesRequest, AcceptMessagesResponse } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { rpcErrors } from '@maildoot/rpc/errors';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { errors } from './fake-tenant.ts';
import { type Gateway, startGateway } from './running-gateway.ts';
import { acceptedAll } from './samples.ts';

const message = {
  from: 'no-reply@yourdomain.com',
  to: 'user@example.com',
  subject: 'Order Confirmed',
  html: '<p>Your order is confirmed!</p>',
};
let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
beforeEach(() => {
  services.asked.length = 0;
  services.instead('acceptMessages');
  tenant = services.addTenant();
});

const post = (body: unknown, headers: Record<string, string> = {}) =>
  gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body, headers });
const asked = (): AcceptMessagesRequest => services.requestsOf<AcceptMessagesRequest>('acceptMessages').at(-1)!;

test('one message is accepted under the id that the gateway made', async () => {
  const { status, json } = await post(message);
  assert.equal(status, 202);
  const [only] = asked().messages;
  assert.equal((json as { id: string }).id, only?.id);
  assert.match(only?.id ?? '', /^msg_/);
  assert.deepEqual(only?.from, { email: 'no-reply@yourdomain.com', name: '' });
  assert.deepEqual(only?.to, [{ email: 'user@example.com', name: '' }]);
  assert.equal(asked().batchId, '');
  assert.equal(services.asked.at(-1)?.tenantId, tenant.id);
});

test('every field arrives at messaging as it was meant', async () => {
  await post({
    from: { email: 'shop@BÜCHER.example', name: 'The Shop' },
    to: ['Ada <ada@example.com>', { email: 'bob@example.com' }, '"a b"@example.com'],
    cc: ['cc@example.com', 'Zoe\u0308 <zoe\u0308@BÜCHER.example>'],
    bcc: [{ email: 'bcc@example.com', name: 'B, C' }],
    reply_to: 'support@example.com',
    subject: 'Ünïcode ✓',
    html: '<p>x</p>',
    text: 'x\r\ny',
    headers: { 'X-Order': '4711', 'x-more': 'é' },
    attachments: [
      { filename: 'a.txt', content: 'aGVsbG8=' },
      { filename: 'b.png', content: '', content_id: 'logo', content_type: 'image/png' },
      { filename: 'c.png', content: '/+8=', content_id: 'c', disposition: 'attachment' },
    ],
    tags: ['a', 'b'],
    metadata: { order: '7' },
    send_at: '2026-01-31T09:00:00+01:00',
    idempotency_key: 'item',
  });
  const [sent] = asked().messages;
  assert.deepEqual(
    {
      ...sent,
      id: '',
      requestSha256: sent?.requestSha256.length,
      attachments: sent?.attachments.map((one) => ({ ...one, content: Buffer.from(one.content).toString('base64') })),
    },
    {
      id: '',
      idempotencyKey: 'item',
      requestSha256: 32,
      from: { email: 'shop@xn--bcher-kva.example', name: 'The Shop' },
      to: [
        { email: 'ada@example.com', name: 'Ada' },
        { email: 'bob@example.com', name: '' },
        { email: '"a b"@example.com', name: '' },
      ],
      cc: [
        { email: 'cc@example.com', name: '' },
        { email: 'zo\u00eb@xn--bcher-kva.example', name: 'Zoe\u0308' },
      ],
      bcc: [{ email: 'bcc@example.com', name: 'B, C' }],
      replyTo: [{ email: 'support@example.com', name: '' }],
      subject: 'Ünïcode ✓',
      html: '<p>x</p>',
      text: 'x\r\ny',
      headers: [
        { name: 'X-Order', value: '4711' },
        { name: 'x-more', value: 'é' },
      ],
      attachments: [
        { filename: 'a.txt', content: 'aGVsbG8=', contentType: '', contentId: '', inline: false },
        { filename: 'b.png', content: '', contentType: 'image/png', contentId: 'logo', inline: true },
        { filename: 'c.png', content: '/+8=', contentType: '', contentId: 'c', inline: false },
      ],
      tags: ['a', 'b'],
      metadata: { order: '7' },
      sendAt: new Date('2026-01-31T08:00:00Z'),
      templateId: '',
      templateVersion: 0,
      variablesJson: Buffer.alloc(0),
      trackOpens: false,
      trackClicks: false,
      unsubscribe: undefined,
      pool: '',
      stream: '',
      test: false,
      rawMime: Buffer.alloc(0),
      envelopeRecipients: [],
    },
  );
});

test('a batch is answered item by item, and its bad items are no part of the request', async () => {
  for (const body of [{ messages: [message, { ...message, to: 'nope' }, message] }, [message, { ...message, to: 'nope' }, message]]) {
    const { status, json } = await post(body);
    assert.equal(status, 202);
    const { data, batch_id } = json as { data: { id?: string; error?: { code: string; issues: { path: string }[] } }[]; batch_id: string };
    assert.deepEqual(
      data.map((item) => item.id),
      [asked().messages[0]?.id, undefined, asked().messages[1]?.id],
    );
    assert.equal(data[1]?.error?.code, 'VALIDATION_ERROR');
    assert.equal(data[1]?.error?.issues[0]?.path, 'to');
    assert.match(batch_id, /^bat_/);
    assert.equal(batch_id, asked().batchId);
  }
});

test('messaging’s refusal of one item stands in that item’s place', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request): AcceptMessagesResponse => {
    const response = acceptedAll(request);
    response.results[1] = {
      result: { $case: 'error', value: { code: 'DOMAIN_NOT_VERIFIED', message: 'not yours', issues: [], retryAfterMs: 0 } },
      replayed: false,
    };
    return response;
  });
  const { json } = await post([message, message]);
  const { data } = json as { data: { error?: { code: string; message: string } }[] };
  assert.equal(data[0]?.error, undefined);
  assert.equal(data[1]?.error?.code, 'DOMAIN_NOT_VERIFIED');
  assert.equal((await post(message)).status, 202);
  services.instead<AcceptMessagesRequest>('acceptMessages', () => ({
    results: [{ result: { $case: 'error', value: { code: 'DOMAIN_NOT_VERIFIED', message: 'not yours', issues: [], retryAfterMs: 0 } } }],
    replayed: false,
    batchId: '',
  }));
  assert.equal((await post(message)).code, 'DOMAIN_NOT_VERIFIED');
});

test('results that are missing: what was accepted is told, of the others that nobody knows', async () => {
  for (const body of [
    [message, message, { ...message, to: 'nope' }],
    [message, { ...message, text: 'x'.repeat(2_000_000) }, { ...message, to: 'nope' }],
  ]) {
    services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
      const response = acceptedAll(request);
      return { ...response, results: response.results.slice(1) };
    });
    const { status, json } = await post(body);
    assert.equal(status, 202);
    const { data } = json as { data: { id?: string; error?: { code: string; message: string } }[] };
    assert.deepEqual(
      data.map(({ id, error }) => id ?? error?.code),
      ['INTERNAL_ERROR', asked().messages[1]?.id, 'VALIDATION_ERROR'],
    );
    assert.match(data[0]?.error?.message ?? '', /is not known: look for it with GET/);
  }
});

test('a replayed answer says so, and names the first request’s ids', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => ({
    ...acceptedAll({ ...request, batchId: 'bat_first' }),
    replayed: true,
  }));
  const { headers, json } = await post([message], { 'idempotency-key': 'k' });
  assert.equal(headers['idempotent-replayed'], 'true');
  assert.equal((json as { batch_id: string }).batch_id, 'bat_first');
});

for (const [name, body, issues] of [
  [
    'atomic: one bad item refuses all',
    { atomic: true, messages: [message, { ...message, subject: 5, to: [1] }] },
    ['messages[1].to[0] invalid_type', 'messages[1].subject invalid_type'],
  ],
  ['no good item in an envelope', { messages: [{ ...message, replyTo: 'x@y.z' }] }, ['messages[0].replyTo unknown_field']],
  ['no good item in a list', [{ ...message, from: undefined }, 5], ['[0].from required', '[1] invalid_type']],
  ['no items', { messages: [] }, ['messages too_few']],
  ['an empty list', [], [' too_few']],
  ['too many items', { messages: Array(1001).fill(null) }, ['messages too_many']],
  ['messages is no list', { messages: {} }, ['messages invalid_type']],
  ['unknown field beside messages', { messages: [message], atomc: true }, ['atomc unknown_field']],
  ['atomic is a text', { messages: [message], atomic: 'yes' }, ['atomic invalid_type']],
  ['null', null, [' invalid_type']],
  ['a text', '"x"', [' invalid_type']],
] as const) {
  test(`refused as a whole: ${name}`, async () => {
    const response = await post(body);
    assert.equal(response.status, 400);
    assert.deepEqual(response.issues, issues);
    assert.deepEqual(services.requestsOf('acceptMessages'), []);
  });
}

test('all problems of all parts of a request are told at once', async () => {
  const response = await gateway.call('POST', '/v1/messages?dry=1', {
    key: tenant.keys.full,
    headers: { 'idempotency-key': '' },
    body: {
      from: { email: 'a@b.c', name: 'x\ny' },
      to: ['a@b.c', { email: 'nope', nam: 1 }, 5, 'A <ä\u202e@b.de>'],
      subject: 'x\ny',
      replyTo: 'x',
      recipient: 'x',
      html: '',
      headers: { 'X-A': 'a\r\nb', Subject: 'z', ok: 4, References: 'a', references: 'b' },
      attachments: [{ filename: 'a/b', content: '@@' }, { content: 5 }],
      metadata: { '': 'x', a: 'b\0', 'x[y]': 'z' },
      tags: ['', 5, 'x'.repeat(257)],
      send_at: 'tomorrow',
    },
  });
  assert.equal(response.status, 400);
  assert.deepEqual(response.issues.toSorted(), [
    'Idempotency-Key invalid_idempotency_key',
    'attachments[0].content invalid_base64',
    'attachments[0].filename invalid_filename',
    'attachments[1].content invalid_type',
    'attachments[1].filename required',
    'dry unknown_field',
    'from.name control_character',
    'headers.Subject forbidden_header',
    'headers.X-A control_character',
    'headers.ok invalid_type',
    'headers.references duplicate_header',
    'html content_required',
    'metadata.a control_character',
    'metadata[""] invalid_metadata_key',
    'metadata["x[y]"] invalid_metadata_key',
    'recipient unknown_field',
    'replyTo unknown_field',
    'send_at invalid_time',
    'subject control_character',
    'tags[0] invalid_tag',
    'tags[1] invalid_type',
    'tags[2] invalid_tag',
    'to[1].email invalid_email',
    'to[1].nam unknown_field',
    'to[2] invalid_type',
    'to[3] invalid_email',
  ]);
  assert.match(response.text, /Did you mean reply_to\?/);
  assert.doesNotMatch(response.text, /recipient[^}]*Did you mean/);
});

for (const [field, value, issue] of [
  ['to', Array(1001).fill('a@b.c'), 'to too_many'],
  ['bcc', Array.from({ length: 1000 }, (_, index) => `u${index}@example.com`), 'to too_many'],
  ['to', [], 'to too_few'],
  ['to', 'a@b.c, d@e.f', 'to invalid_email'],
  ['from', ['a@b.c'], 'from invalid_type'],
  ['tags', Array(11).fill('t'), 'tags too_many'],
  ['metadata', { a: 'x'.repeat(4096) }, 'metadata too_large'],
  ['metadata', { a: 1 }, 'metadata.a invalid_type'],
  ['subject', 'x'.repeat(999), 'subject too_long'],
  ['text', 'a\0b', 'text control_character'],
  ['send_at', '2026-01-31T08:00:00', 'send_at invalid_time'],
  ['idempotency_key', 'x'.repeat(256), 'idempotency_key too_long'],
  ['idempotency_key', 'ü', 'idempotency_key invalid_idempotency_key'],
  ['attachments', [{ filename: 'a', content: 'aGVsbG8' }], 'attachments[0].content invalid_base64'],
  ['attachments', [{ filename: 'a', content: 'aGVs\nbG8=' }], 'attachments[0].content invalid_base64'],
  ['attachments', [{ filename: 'a', content: '_-8=' }], 'attachments[0].content invalid_base64'],
  ['attachments', [{ filename: 'a', content: 'data:text/plain;base64,aGVsbG8=' }], 'attachments[0].content invalid_base64'],
  ['attachments', [{ filename: 'a', content: 'aGVs=G8=' }], 'attachments[0].content invalid_base64'],
  ['attachments', [{ filename: '..', content: '' }], 'attachments[0].filename invalid_filename'],
  ['attachments', [{ filename: 'a\r\nX: y', content: '' }], 'attachments[0].filename control_character'],
  ['attachments', [{ filename: 'a', content: '', content_type: 'multipart/mixed' }], 'attachments[0].content_type invalid_content_type'],
  ['attachments', [{ filename: 'a', content: '', disposition: 'hidden' }], 'attachments[0].disposition invalid_value'],
  ['attachments', [{ filename: 'a', content: '', content_id: 'a>b' }], 'attachments[0].content_id invalid_content_id'],
  ['template', 'tpl_1', 'template unknown_field'],
  ['headers', { 'Content-Type': 'x' }, 'headers.Content-Type forbidden_header'],
  ['headers', { 'X A': 'x' }, 'headers["X A"] invalid_header_name'],
] as const) {
  test(`refused: ${field} = ${JSON.stringify(value).slice(0, 60)}`, async () => {
    assert.deepEqual((await post({ ...message, [field]: value })).issues, [issue]);
  });
}

test('an unknown field of an address names the nearest one, also when nothing else is wrong', async () => {
  const response = await post({ ...message, to: { email: 'a@b.example', Name: 'A' }, cc: [{ email: 'c@d.example', nmae: 'C' }] });
  assert.deepEqual(response.issues, ['to.Name unknown_field', 'cc[0].nmae unknown_field']);
  assert.equal(response.text.match(/Did you mean name\?/g)?.length, 2);
});

test('a message is sent again as it was: other recipients are refused, not passed over', async () => {
  const resend = (body?: object) =>
    gateway.call('POST', `/v1/messages/${tenant.messageId}/resend`, { key: tenant.keys.full, ...(body && { body }) });
  const other = await resend({ to: 'other@b.example' });
  assert.deepEqual([other.status, other.issues], [400, ['to unknown_field']]);
  assert.deepEqual([(await resend({})).status, (await resend()).status], [202, 202]);
  assert.equal(services.requestsOf('resendMessage').length, 2);
});

test('lists that may be left out may be empty', async () => {
  assert.equal((await post({ ...message, cc: [], bcc: [], reply_to: [], attachments: [], tags: [] })).status, 202);
  assert.deepEqual([asked().messages[0]?.cc, asked().messages[0]?.bcc, asked().messages[0]?.replyTo], [[], [], []]);
});

test('what is wrong a thousand times over is not told a thousand times', async () => {
  assert.deepEqual((await post({ ...message, to: Array(100_000).fill(5) })).issues, ['to too_many']);
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 5]));
  assert.deepEqual((await post({ ...message, metadata: names(5000), headers: names(200) })).issues, [
    'headers too_many',
    'metadata too_many',
  ]);
  const unknown = (await post({ ...message, ...names(2000) })).issues;
  assert.equal(unknown.length, 500);
  const { data } = (await post([message, { ...message, ...names(100) }])).json as { data: { error?: { issues: { code: string }[] } }[] };
  assert.equal(data[1]?.error?.issues.length, 25);
  assert.equal(data[1]?.error?.issues.at(-1)?.code, 'too_many_issues');
});

test('the largest that is allowed is accepted', async () => {
  const body = {
    ...message,
    to: Array.from({ length: 1000 }, (_, index) => `u${index}@example.com`),
    subject: 'x'.repeat(998),
    tags: Array(10).fill('x'.repeat(256)),
    metadata: { a: 'x'.repeat(4095) },
    send_at: new Date(Date.now() + 29 * 86_400_000).toISOString(),
    idempotency_key: 'x'.repeat(255),
  };
  assert.equal((await post(body)).status, 202);
  assert.equal(asked().messages[0]?.to.length, 1000);
});

test('a message needs neither a subject nor both bodies', async () => {
  const { subject: _, ...without } = message;
  assert.equal((await post(without)).status, 202);
  assert.equal(asked().messages[0]?.subject, '');
});

test('a time in the past means now, so that a retried request stays valid', async () => {
  assert.equal((await post({ ...message, send_at: '2020-01-01T00:00:00Z' })).status, 202);
});

test('how far ahead is too far is messaging’s to say, which knows what it answered before', async () => {
  const sendAt = new Date(Date.now() + 31 * 86_400_000).toISOString();
  assert.equal((await post([{ ...message, send_at: sendAt }, message])).status, 202);
  assert.deepEqual(
    asked().messages.map((one) => one.sendAt?.toISOString()),
    [sendAt, undefined],
  );
});

test('line breaks reach no header, in whatever field they are tried', async () => {
  const breaks = ['\r\nX-Injected: 1', '\nX-Injected: 1', '\rX-Injected: 1', '\u2028X-Injected: 1', '\u0085X-Injected: 1'];
  const withText = (text: string): Record<string, unknown>[] => [
    { from: `no-reply@yourdomain.com${text}` },
    { from: { email: 'no-reply@yourdomain.com', name: `x${text}` } },
    { from: { email: `no-reply@yourdomain.com${text}` } },
    { from: `x${text} <no-reply@yourdomain.com>` },
    { to: `user@example.com${text}` },
    { to: [{ email: 'user@example.com', name: text }] },
    { cc: `"x${text}" <user@example.com>` },
    { bcc: [`user${text}@example.com`] },
    { reply_to: `x@y.example${text}` },
    { subject: `x${text}` },
    { headers: { 'X-A': `x${text}` } },
    { headers: { [`X-A${text}`]: 'x' } },
    { tags: [`x${text}`] },
    { attachments: [{ filename: `a${text}`, content: '' }] },
    { attachments: [{ filename: 'a', content: '', content_type: `text/plain${text}` }] },
    { attachments: [{ filename: 'a', content: '', content_id: `a${text}` }] },
    { metadata: { [`a${text}`]: 'x' } },
    { send_at: `2026-01-31T08:00:00Z${text}` },
    { idempotency_key: `a${text}` },
  ];
  for (const text of breaks) {
    for (const change of withText(text)) {
      const response = await post({ ...message, ...change });
      assert.equal(response.status, 400, JSON.stringify(change));
      assert.doesNotMatch(JSON.stringify(response.headers), /injected/i);
    }
  }
  assert.deepEqual(services.requestsOf('acceptMessages'), []);
});

test('names from Object’s prototype are names like any other', async () => {
  const raw = `{"__proto__":{"subject":"x"},"constructor":1,${JSON.stringify(message).slice(1)}`;
  assert.deepEqual((await post(raw)).issues, ['__proto__ unknown_field', 'constructor unknown_field']);
  const names = (metadata: string, headers: string) =>
    `${JSON.stringify(message).slice(0, -1)},"metadata":${metadata},"headers":${headers}}`;
  assert.deepEqual((await post(names('{"__proto__":"x"}', '{"__proto__":"x"}'))).issues, [
    'headers.__proto__ invalid_name',
    'metadata.__proto__ invalid_name',
  ]);
  assert.equal((await post(names('{"toString":"y"}', '{"constructor":"z"}'))).status, 202);
  assert.equal(asked().messages[0]?.metadata.toString, 'y');
});

test('the idempotency key and a hash over the meaning of the request go to messaging', async () => {
  const hashOf = async (raw: string, key: string): Promise<string> => {
    assert.equal((await post(raw, { 'idempotency-key': key })).status, 202);
    return Buffer.from(asked().requestSha256).toString('hex');
  };
  const first = await hashOf(JSON.stringify(message), 'k-1');
  assert.equal(asked().idempotencyKey, 'k-1');
  assert.equal(first.length, 64);
  const reordered = Object.fromEntries(Object.entries(message).reverse());
  assert.equal(await hashOf(JSON.stringify(reordered, null, 2), '"k-1"'), first);
  assert.equal(asked().idempotencyKey, 'k-1');
  assert.notEqual(await hashOf(JSON.stringify({ ...message, subject: 'Other' }), 'k-1'), first);
  await post(message);
  assert.equal(asked().idempotencyKey, '');
});

for (const [code, status] of [
  ['IDEMPOTENCY_IN_PROGRESS', 409],
  ['IDEMPOTENCY_MISMATCH', 422],
] as const) {
  test(`${code} is ${status}`, async () => {
    services.instead('acceptMessages', () => {
      throw errors[code]({ message: 'said by messaging' });
    });
    const response = await post(message, { 'idempotency-key': 'k' });
    assert.equal(response.status, status);
    assert.equal(response.headers['retry-after'], code === 'IDEMPOTENCY_IN_PROGRESS' ? '1' : undefined);
  });
}

test('after a lost connection messaging is asked once more, with the same ids', async () => {
  let calls = 0;
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
    if (++calls === 1) throw rpcErrors.UNAVAILABLE({ message: 'the connection was lost' });
    return acceptedAll(request);
  });
  const { status, json } = await post(message);
  assert.equal(status, 202);
  const requests = services.requestsOf<AcceptMessagesRequest>('acceptMessages');
  assert.equal(requests.length, 2);
  assert.deepEqual(requests[0], requests[1]);
  assert.equal((json as { id: string }).id, requests[0]?.messages[0]?.id);
});

test('when messaging stays away, 503 says when to come back', async () => {
  services.instead('acceptMessages', () => {
    throw rpcErrors.UNAVAILABLE({ message: 'down', retryAfterMs: 2500 });
  });
  const response = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: message, expectFailure: true });
  assert.equal(response.status, 503);
  assert.equal(response.headers['retry-after'], '3');
  const requests = services.requestsOf<AcceptMessagesRequest>('acceptMessages');
  assert.ok(requests.length >= 3, `asked ${requests.length} times`);
  assert.equal(new Set(requests.map(({ messages }) => messages[0]?.id)).size, 1);
});

test('a timeout is 504 and is not tried again: the first try may have worked', async () => {
  services.instead('acceptMessages', () => {
    throw rpcErrors.TIMEOUT({ message: 'slow' });
  });
  const response = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: message, expectFailure: true });
  assert.equal(response.status, 504);
  assert.equal(services.requestsOf('acceptMessages').length, 1);
});

test('a mistake behind us is a 500 that shows nothing', async () => {
  services.instead('acceptMessages', () => {
    throw new Error('password=hunter2');
  });
  const response = await gateway.call('POST', '/v1/messages', { key: tenant.keys.full, body: message, expectFailure: true });
  assert.equal(response.code, 'INTERNAL_ERROR');
  assert.doesNotMatch(response.text, /hunter2/);
});

test('captured mail says so, with the warning and where to read it', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
    const response = acceptedAll(request);
    const [first] = response.results;
    if (first?.result?.$case === 'accepted') {
      first.result.value.captured = true;
      first.result.value.warnings = [{ path: 'from', code: 'DOMAIN_NOT_VERIFIED', message: 'captured all the same' }];
    }
    return response;
  });
  const { json } = await post(message);
  const { captured, inbox, warnings } = json as { captured: boolean; inbox: string; warnings: { code: string }[] };
  assert.equal(captured, true);
  assert.equal(inbox, `${gateway.url}/inbox`);
  assert.equal(warnings[0]?.code, 'DOMAIN_NOT_VERIFIED');
});

test('the key’s limit on From domains goes along', async () => {
  const key = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_SEND, allowedDomains: ['yourdomain.com'] });
  await gateway.call('POST', '/v1/messages', { key, body: message });
  assert.deepEqual(asked().allowedDomains, ['yourdomain.com']);
});
