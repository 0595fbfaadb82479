/**
 * Messages come by SMTP from programs of others, nodemailer and Python's smtplib: with STARTTLS and with TLS, by an SMTP user and by a key.
 * What was sent arrives byte for byte, blind copies are nobody's to see, and what ends a credential ends it in open sessions too.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { waitFor } from '@maildoot/testkit/wait';
import { createTransport, type SentMessageInfo } from 'nodemailer';
import { type Platform, startPlatform } from '../platform.ts';

const run = promisify(execFile);
let platform: Platform;
let ca: string;
let smtp: { starttls: string; tls: string };
before(async () => {
  platform = await startPlatform();
  ca = await readFile(join(platform.home, 'smtp.crt'), 'utf8');
  ({ smtp } = JSON.parse(await readFile(join(platform.home, 'up.json'), 'utf8')) as { smtp: typeof smtp });
});
after(() => platform[Symbol.asyncDispose]());

interface SmtpError extends Error {
  responseCode: number;
  response: string;
}

function transport(auth: { user: string; pass: string }, secure = false, more: object = {}) {
  const [host, port] = (secure ? smtp.tls : smtp.starttls).split(':') as [string, string];
  return createTransport({ host, port: Number(port), secure, requireTLS: !secure, auth, tls: { ca, servername: 'localhost' }, ...more });
}

async function newUser(username: string, more: object = {}) {
  const made = await platform.call<{ id: string; password: string }>('POST', '/v1/user-settings/smtp-users', { username, ...more });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return { id: made.body.id, auth: { user: username, pass: made.body.password } };
}

const idOf = ({ response = '' }: SentMessageInfo): string => {
  const [, id] = /^250 2\.0\.0 queued as (msg_[0-9a-z]{26})/.exec(response) ?? [];
  assert.ok(id, response);
  return id;
};

/** What each recipient of a message got, as it arrived. */
async function captured(id: string, count: number): Promise<{ to: string; raw: Buffer }[]> {
  const { data } = await waitFor(
    async () => {
      const { body } = await platform.call<{ data: { id: string; message_id: string; rcpt_to: string[] }[] }>(
        'GET',
        '/v1/test/inbox?limit=100',
      );
      const mine = body.data.filter((mail) => mail.message_id === id);
      return mine.flatMap((mail) => mail.rcpt_to).length === count ? { data: mine } : undefined;
    },
    { what: 'the mail in the inbox' },
  );
  return Promise.all(
    data.map(async (mail) => {
      const raw = await fetch(`${platform.api}/v1/test/inbox/${mail.id}/raw`, { headers: { Authorization: `Bearer ${platform.key}` } });
      return { to: mail.rcpt_to.join(' '), raw: Buffer.from(await raw.arrayBuffer()) };
    }),
  );
}

test('nodemailer, a key, STARTTLS and TLS: the envelope rules and a blind copy stays blind', async () => {
  for (const secure of [false, true]) {
    const sent = await transport({ user: 'apikey', pass: platform.key }, secure).sendMail({
      from: 'Shop <shop@yourdomain.example>',
      to: 'ada@example.com',
      bcc: 'hidden@example.com',
      subject: 'Grüße',
      text: '.dot\n..two\nend',
      headers: { 'X-Tags': 'a, b', 'X-Metadata-Order': '4711' },
    });
    const id = idOf(sent);
    for (const { raw } of await captured(id, 2)) {
      assert.doesNotMatch(raw.toString(), /hidden@|bcc:|x-tags|x-metadata/i);
      assert.match(raw.toString(), /\r\n\.dot\r\n\.\.two\r\nend/);
    }
    const { body } = await platform.call<{
      tags: string[];
      metadata: object;
      subject: string;
      recipients: { email: string; kind: string }[];
    }>('GET', `/v1/messages/${id}`);
    assert.deepEqual([body.tags, body.metadata, body.subject], [['a', 'b'], { order: '4711' }, 'Grüße']);
    assert.deepEqual(
      body.recipients.map(({ email, kind }) => [email, kind]),
      [
        ['ada@example.com', 'to'],
        ['hidden@example.com', 'bcc'],
      ],
    );
  }
});

test('an SMTP user, an attachment, 8 bits, a long line and dots arrive byte for byte', async () => {
  const { auth } = await newUser('Bytes.User');
  const attachment = randomBytes(200_000);
  const body = `${'x'.repeat(2000)}\r\n.\u00e9\r\n..\r\n. \r\n${attachment.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\nend`;
  const raw = `Date: Sat, 31 Jan 2026 08:00:00 +0000\r\nFrom:  shop@yourdomain.example\r\nMessage-ID: <mine@yourdomain.example>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}\r\n`;
  const sent = await transport({ ...auth, user: auth.user.toUpperCase() }).sendMail({
    envelope: { from: 'shop@yourdomain.example', to: ['ada@example.com'] },
    raw,
  });
  const [mail] = await captured(idOf(sent), 1);
  const arrived = mail?.raw.toString() ?? '';
  const hash = (text: string) => createHash('sha256').update(text).digest('hex');
  assert.equal(hash(arrived.slice(arrived.indexOf('Date: Sat'))), hash(raw));
});

test('the same idempotency key again sends nothing twice', async () => {
  const transporter = transport({ user: 'apikey', pass: platform.key });
  const message = {
    from: 'a@yourdomain.example',
    to: 'ada@example.com',
    subject: 'Once',
    text: 'x',
    html: '<p>x',
    headers: { 'X-Idempotency-Key': 'smtp-1' },
  };
  assert.equal(idOf(await transporter.sendMail(message)), idOf(await transporter.sendMail(message)));
  await assert.rejects(transporter.sendMail({ ...message, text: 'another' }), { responseCode: 554 });
});

test('wrong passwords, foreign domains, bad recipients, bare line ends and too many bytes are refused with their codes', async () => {
  const { auth } = await newUser('strict', { domain: 'only.example' });
  const refused = async (sending: Promise<unknown>, code: number, response: RegExp) =>
    assert.rejects(sending, (error: SmtpError) => {
      assert.equal(error.responseCode, code, error.response);
      assert.match(error.response, response);
      return true;
    });
  const message = { from: 'a@only.example', to: 'ada@example.com', subject: 'x', text: 'x' };
  await refused(transport({ ...auth, pass: `${auth.pass}x` }).sendMail(message), 535, /^535 5\.7\.8 /);
  await refused(transport(auth).sendMail({ ...message, from: 'a@other.example' }), 550, /^550 5\.7\.1 /);
  idOf(await transport(auth).sendMail(message));
  const partly = await transport(auth).sendMail({
    ...message,
    to: ['ada@example.com', 'm\u00fcller@example.com', 'ada@under_score.example'],
  });
  assert.deepEqual(partly.rejected, ['ada@under_score.example']);
  await refused(
    transport(auth).sendMail({ envelope: { from: 'a@only.example', to: ['b@example.com'] }, raw: 'Subject: no from\r\n\r\nx' }),
    554,
    /^554 5\.6\.0 .*From/,
  );
  const taken = await platform.call('POST', '/v1/user-settings/smtp-users', { username: 'STRICT' });
  assert.deepEqual([taken.status, (taken.body as { error?: { code?: string }; code?: string }).error?.code], [409, 'USERNAME_TAKEN']);
});

test('a new password and a deletion end open sessions', async () => {
  const { id, auth } = await newUser('short-lived');
  const pooled = transport(auth, false, { pool: true, maxConnections: 1, maxMessages: Number.POSITIVE_INFINITY });
  const message = { from: 'a@yourdomain.example', to: 'ada@example.com', subject: 'x', text: 'x' };
  idOf(await pooled.sendMail(message));
  const reset = await platform.call<{ password: string }>('POST', `/v1/user-settings/smtp-users/${id}/reset-password`);
  assert.equal(reset.status, 200);
  await waitFor(
    () =>
      pooled.sendMail(message).then(
        () => undefined,
        (error: SmtpError) => error.responseCode === 535 || undefined,
      ),
    {
      what: 'the old password ends',
    },
  );
  pooled.close();
  const again = transport({ ...auth, pass: reset.body.password });
  idOf(await again.sendMail(message));
  assert.equal((await platform.call('DELETE', `/v1/user-settings/smtp-users/${id}`)).status, 204);
  await waitFor(
    () =>
      again.sendMail(message).then(
        () => undefined,
        (error: SmtpError) => error.responseCode === 535 || undefined,
      ),
    {
      what: 'the old password ends',
    },
  );
});

test('Python: AUTH only over TLS, bare CR refused, 40 MB and no more, blind copies', async () => {
  const { stdout } = await run('python3', ['-c', python, smtp.starttls, platform.key, join(platform.home, 'smtp.crt')], {
    timeout: 120_000,
  });
  assert.deepEqual(JSON.parse(stdout), {
    before_tls: 'no auth',
    unauthenticated: 530,
    bare: 554,
    declared: 552,
    too_large: 552,
    large: 250,
  });
});

const python = `
import json, smtplib, ssl, sys
host, port = sys.argv[1].split(':')
out = {}
s = smtplib.SMTP(host, int(port))
s.ehlo()
out['before_tls'] = 'auth' if s.has_extn('auth') and s.docmd('AUTH', 'PLAIN AGEAYg==')[0] != 538 else 'no auth'
context = ssl.create_default_context(cafile=sys.argv[3])
context.check_hostname = False
s.starttls(context=context)
s.ehlo()
out['unauthenticated'] = s.docmd('MAIL', 'FROM:<a@yourdomain.example>')[0]
s.login('apikey', sys.argv[2])
head = b'From: a@yourdomain.example\\r\\nSubject: x\\r\\n\\r\\n'
def send(body):
    assert s.mail('a@yourdomain.example')[0] == 250
    assert s.rcpt('ada@example.com')[0] == 250
    assert s.docmd('DATA')[0] == 354
    s.send(body + b'\\r\\n.\\r\\n')
    return s.getreply()[0]
out['bare'] = send(head + b'one\\rtwo')
out['declared'] = s.docmd('MAIL', 'FROM:<a@yourdomain.example> SIZE=41943041')[0]
# To the byte what SIZE says; the line end that is sent behind it counts.
largest = (head + (b'x' * 74 + b'\\r\\n') * 560000)[:int(s.esmtp_features['size']) - 3] + b'x'
out['too_large'] = send(largest + b'x')
out['large'] = send(largest)
print(json.dumps(out))
`;
