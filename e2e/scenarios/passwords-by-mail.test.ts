/**
 * What people get by mail is there and works: the link of somebody who forgot a password, and that of somebody who is invited. The mail goes the
 * way of all mail, to a server that is not ours; the link in it is all that is known of it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { client, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

let platform: Platform;
let sink: SmtpReceiver;
let stop: AsyncDisposableStack;
before(async () => {
  await using starting = new AsyncDisposableStack();
  sink = starting.use(await startSmtpReceiver());
  platform = starting.use(await startPlatform({ env: { DELIVERY: 'smarthost', SMARTHOST: `127.0.0.1:${sink.port}` } }));
  stop = starting.move();
});
after(() => stop?.[Symbol.asyncDispose]());

const password = 'correct horse battery staple';

async function post(path: string, body: unknown): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${platform.api}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, text: await response.text() };
}

/** The link in the mail to an address, whose page is there. */
async function linkFor(email: string): Promise<string> {
  const [mail] = await sink.waitForMail(email, { timeoutMs: 30_000 });
  const raw = mail?.raw.toString() ?? '';
  assert.match(raw, /^Auto-Submitted: auto-generated\r$/m);
  // Lines as long as these are quoted-printable (RFC 2045 section 6.7), as a mail program reads them.
  const text = /^Content-Transfer-Encoding: quoted-printable\r$/m.test(raw)
    ? raw.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : raw;
  const link = /^http\S+\/password#token=\S+/m.exec(text)?.[0];
  assert.ok(link, `a link in ${raw}`);
  assert.equal((await fetch(link)).status, 200);
  return link;
}

const tokenOf = (link: string) => new URLSearchParams(new URL(link).hash.slice(1)).get('token') ?? '';
const complete = (link: string, newPassword = password) =>
  post('/v1/auth/password/reset/complete', { token: tokenOf(link), new_password: newPassword });

async function login(email: string, text = password) {
  const answer = await post('/v1/auth/login', { email, password: text });
  assert.equal(answer.status, 200, answer.text);
  return client(platform.api, (JSON.parse(answer.text) as { access_token: string }).access_token);
}

test('who forgot a password gets a link that works once; nobody else hears of it', async () => {
  const email = 'forgetful@tenant.example';
  await complete((await createTenant(platform, email)).password_link, 'the password before this one');
  const unknown = await post('/v1/auth/password/reset', { email: 'nobody@tenant.example' });
  const known = await post('/v1/auth/password/reset', { email });
  assert.deepEqual(known, unknown, 'the answer does not tell');
  const link = await linkFor(email);
  assert.equal((await complete(link)).status, 204);
  assert.equal((await (await login(email))('GET', '/v1/auth/sessions')).status, 200);
  assert.equal((await post('/v1/auth/login', { email, password: 'the password before this one' })).status, 401);
  assert.ok((await complete(link, 'and one more password')).status >= 400, 'a link works once');
  // Asked for first, so its mail would be here.
  assert.equal(sink.mailFor('nobody@tenant.example').length, 0);
});

test('who is invited chooses a password and has the role that the owner gave', async () => {
  const owner = 'owner@inviting.example';
  await complete((await createTenant(platform, owner)).password_link);
  const asOwner = await login(owner);
  const invited = 'invited@inviting.example';
  const made = await asOwner<{ status: string }>('POST', '/v1/team/members', { email: invited, role: 'viewer' });
  assert.deepEqual([made.status, made.body.status], [201, 'invited'], JSON.stringify(made.body));
  assert.equal((await complete(await linkFor(invited))).status, 204);
  const asInvited = await login(invited);
  assert.equal((await asInvited('GET', '/v1/messages')).status, 200);
  assert.equal((await asInvited('POST', '/v1/templates', { name: 'x', text: 'x' })).status, 403, 'a viewer looks');
  const { body } = await asOwner<{ data: { email: string; role: string; status: string }[] }>('GET', '/v1/team/members');
  assert.deepEqual(
    body.data.filter((member) => member.email === invited).map(({ role, status }) => [role, status]),
    [['viewer', 'active']],
  );
});
