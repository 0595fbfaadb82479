// Submission by SMTP at the real gateway: what is handed on, and what a client is told when it can't be kept. What may pass is a 4xx.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { connect } from 'node:tls';
import { Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { Ledger } from '@maildoot/proto/maildoot/auth/v1/quota';
import {
  type AcceptMessagesRequest,
  AcceptMessagesResponse,
  MessageStatus,
  type ResendMessageRequest,
  ResendMessageResponse,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { rpcErrors } from '@maildoot/rpc/errors';
import { waitFor } from '@maildoot/testkit/wait';
import { createTransport, type SentMessageInfo } from 'nodemailer';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { errors } from './fake-tenant.ts';
import { type Gateway, startGateway } from './running-gateway.ts';
import { acceptedAll } from './samples.ts';

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;
before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, { SMTP_LISTEN: '127.0.0.1:0', SMTPS_LISTEN: '127.0.0.1:0' });
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
const noLimits = { granted: 0, limit: 0n, remaining: 0n, windowStartS: 0n, windowS: 60, endsInMs: 60_000 };
beforeEach(() => {
  tenant = services.addTenant();
});
afterEach(() => {
  services.instead('acceptMessages');
  services.people.quota = () => noLimits;
});

interface Refused extends Error {
  responseCode: number;
  response: string;
}

const message = { from: 'shop@shop.example', to: 'ada@example.com', subject: 'Hello', text: 'Hello!' };

function send(mail: object, key = tenant.keys.send, secure = false): Promise<SentMessageInfo> {
  const [host, port] = ((secure ? gateway.smtp.tls : gateway.smtp.starttls) ?? '').split(':') as [string, string];
  const transport = createTransport({
    host,
    port: Number(port),
    secure,
    requireTLS: !secure,
    auth: { user: 'apikey', pass: key },
    tls: { rejectUnauthorized: false },
  });
  return transport.sendMail({ ...message, ...mail }).finally(() => transport.close());
}

const asked = (): AcceptMessagesRequest => services.requestsOf<AcceptMessagesRequest>('acceptMessages').at(-1) as AcceptMessagesRequest;

async function refused(sending: Promise<unknown>, code: number, says: RegExp): Promise<void> {
  await assert.rejects(sending, (error: Refused) => {
    assert.equal(error.responseCode, code, error.response);
    assert.match(error.response, says);
    assert.match(error.response, /^[\x20-\x7e]+$/, 'a reply is ASCII (RFC 5321 section 4.2)');
    return true;
  });
}

/** Messaging answers for the message, or for the request as a whole. */
const answers = {
  item: (code: string, text = 'said by messaging') =>
    services.instead('acceptMessages', () =>
      AcceptMessagesResponse.fromPartial({ results: [{ result: { $case: 'error', value: { code, message: text } } }] }),
    ),
  request: (error: () => unknown) =>
    services.instead('acceptMessages', () => {
      throw error();
    }),
};

for (const secure of [false, true])
  test(`${secure ? 'TLS' : 'STARTTLS'}: the bytes and the envelope are handed on, and 250 names the message`, async () => {
    const raw =
      'From: shop@shop.example\r\nTo: Ada <ada@example.com>\r\nBcc: hidden@example.com\r\nSubject: Hi\r\n\r\n.dot\r\n..two\r\n\u00e9\r\n';
    const { response = '' } = await send(
      { envelope: { from: 'bounce@shop.example', to: ['ada@example.com', 'HIDDEN@Example.com'] }, raw },
      tenant.keys.send,
      secure,
    );
    const [only] = asked().messages;
    assert.equal(response, `250 2.0.0 queued as ${only?.id}`);
    assert.equal(only?.rawMime?.toString(), raw);
    assert.deepEqual(only?.envelopeRecipients, ['ada@example.com', 'HIDDEN@example.com']);
    assert.deepEqual(
      [only?.to.map(({ email, name }) => [email, name]), only?.cc, only?.bcc.map(({ email }) => email)],
      [[['ada@example.com', 'Ada']], [], ['HIDDEN@example.com']],
    );
    assert.equal(only?.from?.email, 'shop@shop.example');
  });

test('X-Template names a template, with variables; the body that came is left out', async () => {
  await send({
    headers: { 'X-Template': 'order-confirmed', 'X-Variables': '{"name":"Ada"}', 'X-Tags': 'a,b', 'X-Shop': '7' },
    bcc: 'hidden@example.com',
  });
  const [only] = asked().messages;
  assert.deepEqual([only?.templateId, only?.variablesJson?.toString(), only?.tags], ['order-confirmed', '{"name":"Ada"}', ['a', 'b']]);
  assert.equal(only?.rawMime?.length ?? 0, 0);
  assert.deepEqual(
    [only?.text, only?.html].filter((text) => text),
    [],
  );
  assert.deepEqual(
    only?.headers.filter(({ name }) => /^x-/i.test(name)),
    [{ name: 'X-Shop', value: '7' }],
  );
  assert.deepEqual(
    only?.bcc.map(({ email }) => email),
    ['hidden@example.com'],
  );
  await refused(send({ headers: { 'X-Template': 'order-confirmed', 'X-Variables': '[1]' } }), 554, /^554 5\.6\.0 .*X-Variables/);
  await refused(send({ headers: { 'X-Template': 'no such name' } }), 554, /^554 5\.6\.0 .*X-Template/);
  await refused(send({ headers: { 'X-Template': 'no-such-template' } }), 554, /^554 5\.6\.0 /);
});

for (const [what, code, reply, says] of [
  ['the template service is away', 'UNAVAILABLE', 451, /^451 4\.3\.0 .*nothing was sent/],
  ['something broke', 'INTERNAL_ERROR', 451, /^451 4\.3\.0 /],
  ['the backlog is full', 'RATE_LIMITED', 451, /^451 4\.7\.1 said by messaging/],
  ['the same key is under way', 'IDEMPOTENCY_IN_PROGRESS', 451, /^451 4\.3\.0 /],
  ['the same key, other content', 'IDEMPOTENCY_MISMATCH', 554, /^554 5\.6\.0 /],
  ['variables are missing', 'MISSING_VARIABLES', 554, /^554 5\.6\.0 said by messaging/],
  ['the template fails', 'TEMPLATE_ERROR', 554, /^554 5\.6\.0 said by messaging/],
  ['the domain is not verified', 'DOMAIN_NOT_VERIFIED', 550, /^550 5\.7\.1 /],
  ['the key may not use the domain', 'SENDER_NOT_ALLOWED', 550, /^550 5\.7\.1 /],
  ['too large once rendered', 'PAYLOAD_TOO_LARGE', 552, /^552 5\.3\.4 /],
] as const)
  test(`${what}: ${reply}`, async () => {
    answers.item(code);
    await refused(send({}), reply, says);
    services.instead('acceptMessages');
    assert.match((await send({})).response ?? '', /^250 /, 'and the next one is taken');
  });

test('messaging, or its database, is away: 451, and 250 once it is back', async () => {
  answers.request(() => rpcErrors.UNAVAILABLE({ message: 'the database is away', retryAfterMs: 5000 }));
  await refused(send({}), 451, /^451 4\.3\.0 The message cannot be kept at the moment, nothing was sent/);
  answers.request(() => rpcErrors.TIMEOUT({ message: 'slow' }));
  await refused(send({}), 451, /^451 4\.3\.0 /);
  answers.request(() => new Error('password=hunter2'));
  await refused(send({}), 451, /^451 4\.3\.0 (?!.*hunter2)/);
  answers.request(() => errors.IDEMPOTENCY_IN_PROGRESS({ message: 'still running' }));
  await refused(send({ headers: { 'X-Idempotency-Key': 'k' } }), 451, /^451 4\.3\.0 /);
  services.instead('acceptMessages');
  await services.down('messaging');
  await refused(send({}), 451, /^451 4\.3\.0 /);
  await services.up('messaging');
  // Found again a moment later.
  const taken = await waitFor(() => send({}), { intervalMs: 100, what: 'messaging, back again' });
  assert.match(taken.response ?? '', /^250 2\.0\.0 queued as msg_/);
});

test('over the quota: 452, and the portion of a message that was refused is given back', async () => {
  let left = 1;
  services.people.quota = (take) => {
    if (take.ledger !== Ledger.LEDGER_TENANT_MESSAGES) return noLimits;
    left += take.returned;
    const granted = take.needed <= left ? take.needed : 0;
    left -= granted;
    return { ...noLimits, granted, limit: 1n, remaining: BigInt(left) };
  };
  answers.item('DOMAIN_NOT_VERIFIED');
  await refused(send({}), 550, /^550 /);
  services.instead('acceptMessages');
  assert.match((await send({})).response ?? '', /^250 /);
  await refused(send({}), 452, /^452 4\.7\.1 /);
});

test('over the quota, what was answered before is answered again by SMTP and by REST, and nothing else is asked of messaging', async () => {
  services.people.quota = (take) => (take.ledger === Ledger.LEDGER_TENANT_MESSAGES ? { ...noLimits, limit: 1n, remaining: 0n } : noLimits);
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
    assert.equal(request.replayOnly, true);
    assert.deepEqual([request.messages[0]?.from, request.messages[0]?.rawMime.length], [undefined, 0], 'nothing that could be sent');
    const keys = [request.idempotencyKey, ...request.messages.map(({ idempotencyKey }) => idempotencyKey)];
    if (!keys.includes('known')) return AcceptMessagesResponse.fromPartial({});
    return { ...acceptedAll(request), replayed: keys[0] === 'known' };
  });
  assert.match((await send({ headers: { 'X-Idempotency-Key': 'known' } })).response ?? '', /^250 2\.0\.0 queued as msg_/);
  await refused(send({ headers: { 'X-Idempotency-Key': 'new' } }), 452, /^452 4\.7\.1 /);

  const post = (path: string, body: object | undefined, idempotencyKey?: string) =>
    gateway.call('POST', path, {
      key: tenant.keys.full,
      ...(body === undefined ? {} : { body }),
      ...(idempotencyKey === undefined ? {} : { headers: { 'Idempotency-Key': idempotencyKey } }),
    });
  const known = await post('/v1/messages', message, 'known');
  assert.deepEqual([known.status, known.headers['idempotent-replayed']], [202, 'true']);
  assert.equal((await post('/v1/messages', [{ ...message, idempotency_key: 'known' }])).status, 202);
  for (const [body, idempotencyKey] of [[message, 'new'], [[{ ...message, idempotency_key: 'known' }, message]]] as const)
    assert.equal((await post('/v1/messages', body, idempotencyKey)).code, 'QUOTA_EXCEEDED');

  services.instead<ResendMessageRequest>('resendMessage', (request) => {
    assert.equal(request.replayOnly, true);
    const accepted = { id: request.newId, status: MessageStatus.MESSAGE_STATUS_QUEUED, createdAt: new Date() };
    return request.idempotencyKey === 'known' ? ResendMessageResponse.fromPartial({ accepted, replayed: true }) : {};
  });
  const resend = (idempotencyKey?: string) => post(`/v1/messages/${tenant.messageId}/resend`, undefined, idempotencyKey);
  const again = await resend('known');
  assert.deepEqual([again.status, again.headers['idempotent-replayed']], [202, 'true']);
  assert.deepEqual([(await resend('new')).code, (await resend()).code], ['QUOTA_EXCEEDED', 'QUOTA_EXCEEDED']);
  services.instead('resendMessage');
});

test('suppressed recipients are named behind the 250', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
    const response = acceptedAll(request);
    const [first] = response.results;
    if (first?.result?.$case === 'accepted')
      first.result.value.warnings = [{ path: 'to[1]', code: 'RECIPIENT_SUPPRESSED', message: 'bob@example.com is suppressed' }];
    return response;
  });
  const { response = '' } = await send({ to: ['ada@example.com', 'bob@example.com'] });
  assert.match(response, /^250 2\.0\.0 queued as msg_[0-9a-z]{26}; bob@example\.com is suppressed$/);
});

test('who may not send is told at AUTH; auth away is a 454', async () => {
  await refused(send({}, tenant.keys.read), 535, /^535 5\.7\.8 .*scope send or full/);
  await refused(send({}, 'mdsk_nobody'), 535, /^535 5\.7\.8 /);
  const suspended = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_SEND, suspended: true });
  await refused(send({}, suspended), 525, /^525 5\.7\.13 /);
  const elsewhere = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_SEND, allowedIps: ['203.0.113.0/24'] });
  await refused(send({}, elsewhere), 535, /^535 5\.7\.8 /);
  const unknown = services.addKey({ tenantId: tenant.id, scope: Scope.SCOPE_SEND });
  await services.down('auth');
  await refused(send({}, unknown), 454, /^454 4\.7\.0 /);
  await services.up('auth');
  // Found again a moment later.
  const taken = await waitFor(() => send({}, unknown), { intervalMs: 100, what: 'auth, back again' });
  assert.match(taken.response ?? '', /^250 /);
});

test('each recipient has a reply of its own, and the message goes to those that were taken', async () => {
  const { accepted, rejected, rejectedErrors } = (await send({
    envelope: { from: 'shop@shop.example', to: ['ada@example.com', 'm\u00fc\u202e@example.com', 'bob@example.com'] },
    raw: 'From: shop@shop.example\r\nSubject: x\r\n\r\nx\r\n',
  })) as SentMessageInfo & { rejectedErrors?: Refused[] };
  assert.deepEqual([accepted, rejected], [['ada@example.com', 'bob@example.com'], ['m\u00fc\u202e@example.com']]);
  assert.match(rejectedErrors?.[0]?.response ?? '', /^553 5\.1\.3 /);
  assert.deepEqual(asked().messages[0]?.envelopeRecipients, ['ada@example.com', 'bob@example.com']);
});

test('addresses beyond ASCII are taken with SMTPUTF8, in the envelope and in the header', async () => {
  const raw =
    'From: Jörg <jörg@shop.example>\r\nTo: =?utf-8?q?M=C3=BCller?= <mu\u0308ller@bücher.example>\r\nReply-To: пошта@shop.example\r\n';
  const { accepted } = await send({
    envelope: { from: 'jörg@shop.example', to: ['müller@bücher.example', 'hidden@example.com', '用户@example.com'] },
    raw: `${raw}Subject: Grüße\r\n\r\nx\r\n`,
  });
  assert.equal(accepted?.length, 3);
  const [one] = asked().messages;
  assert.deepEqual(
    [one?.from, one?.to, one?.bcc, one?.replyTo, one?.subject],
    [
      { email: 'jörg@shop.example', name: 'Jörg' },
      [{ email: 'müller@xn--bcher-kva.example', name: 'Müller' }],
      [
        { email: 'hidden@example.com', name: '' },
        { email: '用户@example.com', name: '' },
      ],
      [{ email: 'пошта@shop.example', name: '' }],
      'Grüße',
    ],
  );
  assert.ok(Buffer.from(one?.rawMime ?? []).includes(raw), 'byte for byte');
});

test('without SMTPUTF8 an address beyond ASCII is refused, as sender and as recipient, and the others are taken', async () => {
  const auth = Buffer.from(`\0apikey\0${tenant.keys.send}`).toString('base64');
  const said = await dialogue(
    'EHLO client.example',
    `AUTH PLAIN ${auth}`,
    // One that is refused says nothing of the next.
    'MAIL FROM:<m\u202e@shop.example> SMTPUTF8',
    'MAIL FROM:<jörg@shop.example>',
    'MAIL FROM:<shop@shop.example>',
    'RCPT TO:<müller@example.com>',
    'RCPT TO:<ada@example.com>',
    'RSET',
    'MAIL FROM:<jörg@shop.example> BODY=8BITMIME SMTPUTF8',
    'RCPT TO:<müller@example.com>',
  );
  assert.match(said[1] ?? '', /^250[- ]SMTPUTF8\r$/m);
  assert.deepEqual(
    said.slice(2).map((reply) => /^\d{3} (?:\d\.\d\.\d)?/.exec(reply)?.[0]),
    ['235 2.7.0', '553 5.1.7', '553 5.6.7', '250 2.1.0', '553 5.6.7', '250 2.1.5', '250 2.0.0', '250 2.1.0', '250 2.1.5'],
  );
});

test('a suppressed recipient beyond ASCII is named in ASCII (RFC 6533)', async () => {
  services.instead<AcceptMessagesRequest>('acceptMessages', (request) => {
    const response = acceptedAll(request);
    const [first] = response.results;
    if (first?.result?.$case === 'accepted')
      first.result.value.warnings = [{ path: 'to[0]', code: 'RECIPIENT_SUPPRESSED', message: 'jörg@example.com is suppressed' }];
    return response;
  });
  const { response = '' } = await send({ to: ['jörg@example.com'] });
  assert.match(response, /; j\\x\{F6\}rg@example\.com is suppressed$/);
});

/** The replies to these commands, the greeting first. */
function dialogue(...commands: readonly string[]): Promise<string[]> {
  const [host, port] = (gateway.smtp.tls ?? '').split(':') as [string, string];
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
    const replies: string[] = [];
    const left = [...commands];
    let reply = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      reply += text;
      if (!/^\d{3}(?: .*)?\r\n$/m.test(reply)) return;
      replies.push(reply);
      reply = '';
      const next = left.shift();
      if (next === undefined) socket.destroy();
      else socket.write(`${next}\r\n`);
    });
    socket.on('close', () => resolve(replies)).on('error', reject);
  });
}
