/** Everything that a tenant can own, made for one: real rows of real services, each with the tenant's name in it wherever there is room for a text. */
import assert from 'node:assert/strict';
import type { DnsServer } from '@maildoot/testkit/dns';
import { waitFor } from '@maildoot/testkit/wait';
import type { Receiver } from '@maildoot/testkit/webhook-receiver';
import { verifiedDomain } from '../internet.ts';
import { type Call, client, type Platform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

/** What an estate's things are called; a cursor is called after the list that it belongs to. */
export type Thing =
  | 'message'
  | 'scheduled'
  | 'batch'
  | 'template'
  | 'alias'
  | 'otherAlias'
  | 'key'
  | 'domain'
  | 'pending'
  | 'smtpUser'
  | 'username'
  | 'callback'
  | 'event'
  | 'seq'
  | 'suppressed'
  | 'left'
  | 'session'
  | 'member'
  | 'invited'
  | 'owner'
  | 'captured'
  | 'capturedMessage'
  | 'sender'
  | 'recipient'
  | 'reader'
  | 'subject'
  | 'tag'
  | 'order'
  | 'stream'
  | `next ${string}`;
export type Things = Readonly<Record<Thing, string>>;

export interface Estate {
  readonly name: string;
  readonly tenantId: string;
  readonly apiKey: string;
  readonly password: string;
  readonly key: Call;
  readonly session: Call;
  /** Another session of the same person, to be logged out of. */
  readonly leaving: Call;
  /** The owner's personal access token, whichever it is by now. */
  readonly pat: Call;
  /** A test key. */
  readonly tests: Call;
  readonly things: Things;
}

/** Names have one length, so that answers which repeat them do too. */
export const names = { owner: 'aurora', stranger: 'boreal', nobody: 'nobody' } as const;

export const inTwentyDays = (): string => new Date(Date.now() + 20 * 86_400_000).toISOString();

/** The lists that give a cursor, and whose they are asked as. */
const lists: Readonly<Record<string, 'key' | 'session'>> = {
  '/v1/messages': 'key',
  '/v1/templates': 'key',
  '/v1/user-settings/suppressions': 'key',
  '/v1/user-settings/callbacks': 'key',
  '/v1/user-settings/domains': 'key',
  '/v1/user-settings/smtp-users': 'key',
  '/v1/api-keys': 'key',
  '/v1/auth/sessions': 'session',
  '/v1/team/members': 'key',
  '/v1/audit-log': 'key',
  '/v1/test/inbox': 'key',
  '/v1/events': 'key',
};

export async function makeEstate(platform: Platform, dns: DnsServer, receiver: Receiver, name: string): Promise<Estate> {
  const email = `owner@${name}.example`;
  const password = `${name} likes a long password`;
  const tenant = (await createTenant(platform, email)) as { tenant_id: string; key: string; password_link: string };
  const key = client(platform.api, tenant.key);
  const domain = `${name}.example`;
  const things: Record<string, string> = { owner: email, domain, alias: `${name}-note`, sender: `news@${domain}`, tag: `${name}-tag` };
  const made = async <T extends object = { id: string }>(path: string, body: unknown, call = key): Promise<T> => {
    const answer = await call<T>('POST', path, body);
    assert.ok(answer.status < 300, `${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };

  await choosePassword(platform, tenant.password_link, password);
  const tokens: string[] = [];
  for (const _ of [0, 1, 2]) tokens.push(await login(platform, email, password));
  const [session, other, leaving] = tokens as [string, string, string];
  things.session = (JSON.parse(Buffer.from(other.split('.')[1] ?? '', 'base64url').toString()) as { sid: string }).sid;

  things.pending = `${name}-waits.example`;
  await verifiedDomain(key, dns, domain);
  await made('/v1/user-settings/domains', { domain: things.pending });

  // Two of everything, so that each list has a second page.
  const callback = { url: receiver.url(name), events: ['message.accepted'], description: `${name} listens` };
  things.callback = (await made('/v1/user-settings/callbacks', callback)).id;
  await made('/v1/user-settings/callbacks', { ...callback, events: ['domain.*'] });
  things.username = `${name}-user`;
  things.smtpUser = (await made('/v1/user-settings/smtp-users', { username: things.username })).id;
  await made('/v1/user-settings/smtp-users', { username: `${name}-other` });
  things.key = (await made('/v1/api-keys', { name: `${name} spare`, scope: 'read' })).id;
  const { key: testKey } = await made<{ key: string }>('/v1/api-keys', { name: `${name} tests`, scope: 'full', test: true });
  things.invited = `bob@${domain}`;
  things.member = (await made('/v1/team/members', { email: things.invited, role: 'viewer' })).id;
  things.stream = `${name}-news`;
  things.suppressed = `gone@${name}.example`;
  things.left = `left@${name}.example`;
  for (const email of [things.suppressed, things.left]) await made('/v1/user-settings/suppressions', { email, stream: 'transactional' });
  await made('/v1/user-settings/suppressions', { email: things.suppressed, stream: things.stream });

  const source = { name: `${name} writes`, subject: `${name} {{ n }}`, html: `<p>${name} {{ n }}</p>`, text: `${name} {{ n }}` };
  things.otherAlias = `${name}-more`;
  things.template = (await made('/v1/templates', { ...source, alias: things.alias })).id;
  assert.equal((await key('PATCH', `/v1/templates/${things.template}`, { text: `${name} again {{ n }}` })).status, 200);
  await made('/v1/templates', { ...source, alias: things.otherAlias });

  things.subject = `${name} says hello`;
  things.order = `${name}-4711`;
  things.reader = `reader@${domain}`;
  things.recipient = `accept+${name}@simulator.localhost`;
  const message = {
    from: `${name} <${things.sender}>`,
    to: things.recipient,
    subject: things.subject,
    text: `${name} writes.`,
    tags: [things.tag],
    metadata: { order: things.order },
  };
  things.message = (await made('/v1/messages', message)).id;
  const later = { ...message, send_at: inTwentyDays() };
  const { data } = await made<{ data: { id: string }[] }>('/v1/messages', [later, { ...later, stream: things.stream }]);
  const [inBatch] = data as [{ id: string }];
  things.batch = (await key<{ batch_id: string }>('GET', `/v1/messages/${inBatch.id}`)).body.batch_id;
  things.scheduled = (
    await made('/v1/messages', { ...later, template_id: things.template, subject: undefined, text: undefined, variables: { n: 1 } })
  ).id;
  const tests = client(platform.api, testKey);
  for (const _ of [0, 1]) things.capturedMessage = (await made('/v1/messages', { ...message, to: things.reader }, tests)).id;

  const captured = await waitFor(
    async () => {
      const { body } = await key<{ data: { id: string; message_id: string }[] }>('GET', '/v1/test/inbox');
      return body.data.length === 2 ? body.data.find((mail) => mail.message_id === things.capturedMessage) : undefined;
    },
    { what: `${name}’s captured mail` },
  );
  things.captured = captured.id;
  const attempted = await waitFor(
    async () => {
      const { body } = await key<{ data: { event_id: string }[] }>('GET', `/v1/user-settings/callbacks/${things.callback}/attempts`);
      return body.data.length >= 2 && body.data;
    },
    { what: `${name}’s webhooks` },
  );
  things.event = attempted[0]?.event_id ?? '';
  await waitFor(async () => (await key<{ status: string }>('GET', `/v1/messages/${things.message}`)).body.status === 'delivered', {
    what: `${name}’s message to be delivered`,
  });
  const feed = await key<{ data: { seq: number }[] }>('GET', '/v1/events?limit=1');
  things.seq = String(feed.body.data[0]?.seq);

  await made('/v1/user/regenerate_auth_pat', undefined);
  const pat: Call = async (...asked) => {
    const { body } = await key<{ auth_pat: { value: string } }>('GET', '/v1/user/settings');
    return await client(platform.api, body.auth_pat.value)(...asked);
  };
  const calls = { key, session: client(platform.api, session), leaving: client(platform.api, leaving), pat, tests };
  const withAttempts = { ...lists, [`/v1/user-settings/callbacks/${things.callback}/attempts`]: 'key' as const };
  for (const [path, as] of Object.entries(withAttempts)) {
    const { body } = await calls[as]<{ next_cursor: string | null }>('GET', `${path}?limit=1`);
    assert.ok(body.next_cursor, `${name} has two of ${path}`);
    things[`next ${path.replace(things.callback, '{id}')}`] = body.next_cursor;
  }
  return { name, tenantId: tenant.tenant_id, apiKey: tenant.key, password, ...calls, things: things as Things };
}

async function choosePassword(platform: Platform, link: string, password: string): Promise<void> {
  const token = new URLSearchParams(new URL(link).hash.slice(1)).get('token');
  const answer = await post(platform, '/v1/auth/password/reset/complete', { token, new_password: password });
  assert.equal(answer.status, 204);
}

async function login(platform: Platform, email: string, password: string): Promise<string> {
  // Passwords are checked one after the other, and who would wait for long is told to come back.
  const { access_token } = await waitFor(
    async () => {
      const answer = await post(platform, '/v1/auth/login', { email, password });
      return answer.status === 200 && ((await answer.json()) as { access_token: string });
    },
    { what: `${email} to log in`, intervalMs: 200 },
  );
  return access_token;
}

function post(platform: Platform, path: string, body: unknown): Promise<Response> {
  return fetch(`${platform.api}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** Something of the same form and length that nobody ever had. */
export function neverHad(thing: string): string {
  const id = /^([a-z]{3}_[0-9a-z]{20})[0-9a-z]{6}$/.exec(thing);
  if (id) return `${id[1]}${thing.endsWith('000000') ? '111111' : '000000'}`;
  if (thing.includes(names.owner)) return thing.replaceAll(names.owner, names.nobody);
  if (/^\d+$/.test(thing)) return String(BigInt(thing) + 1n);
  const cursor = /^([a-z]{3}[0-9a-f]{26})[0-9a-f]{6}$/.exec(Buffer.from(thing, 'base64url').toString('latin1'));
  assert.ok(cursor, `${thing} has a form that this scenario does not know`);
  return Buffer.from(`${cursor[1]}0000f0`, 'latin1').toString('base64url');
}
