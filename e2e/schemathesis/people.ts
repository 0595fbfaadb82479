// Who the run calls as, and things of theirs that no generator makes up: passwords, tokens of links in a message.
import assert from 'node:assert/strict';
import { waitFor } from '@maildoot/testkit/wait';
import { operator } from '../operator.ts';
import type { Platform } from '../platform.ts';

export interface Person {
  readonly email: string;
  readonly password: string;
}

/** `owner` makes the run's credentials; `spare` is who logs out and ends sessions, `changer` who changes the password: nothing else depends on them. */
export interface People {
  readonly owner: Person;
  readonly spare: Person;
  readonly changer: Person;
}

export interface Tokens {
  /** Sets the password of somebody who is nobody else, once. */
  readonly password: string;
  readonly open: string;
  readonly click: string;
  readonly unsubscribe: string;
}

const password = 'correct horse battery staple';

export async function makePeople(platform: Platform): Promise<People> {
  const owner = { email: 'owner@localhost.localdomain', password };
  const spare = { email: 'spare@people.example', password };
  await setPassword(platform, await passwordToken(platform, owner.email));
  const changer = { email: 'changer@people.example', password };
  for (const { email } of [spare, changer]) {
    await invite(platform, email);
    await setPassword(platform, await passwordToken(platform, email));
  }
  return { owner, spare, changer };
}

export async function makeTokens(platform: Platform): Promise<Tokens> {
  const sent = await platform.call<{ id: string }>('POST', '/v1/messages', {
    from: 'news@shop.example',
    to: 'reader@people.example',
    subject: 'News',
    html: '<p><a href="https://shop.example/read">Read on</a></p>',
    tracking: { opens: true, clicks: true },
    unsubscribe: {},
  });
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const raw = await waitFor(
    async () => {
      const { body } = await platform.call<{ data: { id: string }[] }>('GET', `/v1/test/inbox?message_id=${sent.body.id}`);
      const [mail] = body.data;
      return mail === undefined ? undefined : (await platform.call<string>('GET', `/v1/test/inbox/${mail.id}/raw`)).body;
    },
    { what: 'the tracked message' },
  );
  const text = String(raw).replaceAll('=\r\n', '').replaceAll('=3D', '=');
  const token = (place: string): string =>
    new RegExp(`/${place}/([A-Za-z0-9_-]+)`).exec(text)?.[1] ?? assert.fail(`no ${place} in ${text}`);
  await invite(platform, 'forgetful@people.example');
  const password = await passwordToken(platform, 'forgetful@people.example');
  return { password, open: token('t/o'), click: token('t/c'), unsubscribe: token('u') };
}

async function invite(platform: Platform, email: string): Promise<void> {
  const { status, body } = await platform.call('POST', '/v1/team/members', { email, role: 'member' });
  assert.equal(status, 201, JSON.stringify(body));
}

async function passwordToken(platform: Platform, email: string): Promise<string> {
  const { password_link } = await operator<{ password_link: string }>(platform, 'password', email);
  return new URLSearchParams(new URL(password_link).hash.slice(1)).get('token') ?? '';
}

async function setPassword(platform: Platform, token: string): Promise<void> {
  const { status } = await platform.call('POST', '/v1/auth/password/reset/complete', { token, new_password: password });
  assert.equal(status, 204);
}
