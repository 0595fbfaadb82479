/**
 * A message to the simulator is taken, and what comes back later comes the way it does in the world: a report, sent by SMTP to the return path,
 * taken by the MX door. The sender sees a bounce after the delivery, and a complaint.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { type Platform, startPlatform } from '../platform.ts';

interface Message {
  status: string;
  recipients: { email: string; status: string; bounce: { class: string; type: string; diagnostic: string } | null }[];
  events: { type: string; recipient: string | null }[];
}

let platform: Platform;
before(async () => {
  platform = await startPlatform();
});
after(() => platform?.[Symbol.asyncDispose]());

async function send(to: string): Promise<string> {
  const { status, body } = await platform.call<{ id: string }>('POST', '/v1/messages', {
    from: 'shop@sender.example',
    to,
    subject: 'Hello',
    text: 'x',
  });
  assert.equal(status, 202, JSON.stringify(body));
  return body.id;
}
async function until(id: string, type: string): Promise<Message> {
  return waitFor(
    async () => {
      const { body } = await platform.call<Message>('GET', `/v1/messages/${id}`);
      return body.events?.some((event) => event.type === type) ? body : undefined;
    },
    { what: `${type} of ${id}` },
  );
}

test('bounced after delivered', async () => {
  const id = await send('bounce-later+1@simulator.localhost');
  const message = await until(id, 'message.bounced');
  assert.equal(message.status, 'bounced');
  assert.equal(message.recipients[0]?.status, 'bounced');
  const types = message.events.map(({ type }) => type);
  assert.ok(types.indexOf('message.delivered') >= 0 && types.indexOf('message.delivered') < types.indexOf('message.bounced'), types.join());
});

test('a complaint leaves it delivered', async () => {
  const message = await until(await send('complaint@simulator.localhost'), 'message.complained');
  assert.equal(message.status, 'delivered');
});

test('refused in the session: bounced at once, with whose fault it is', async () => {
  const message = await until(await send('bounce@simulator.localhost'), 'message.bounced');
  assert.equal(message.recipients[0]?.bounce?.class, 'recipient');
  assert.ok(!message.events.some(({ type }) => type === 'message.delivered'));
});
