/**
 * A template's way: made, sent, received with its variables in place; changed while mail waits; and a hostile one beside other mail, which
 * costs its sender an error and others nothing.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { client, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

let platform: Platform;

interface Mail {
  id: string;
  subject: string;
  rcpt_to: string[];
}

before(async () => {
  platform = await startPlatform();
});
after(() => platform[Symbol.asyncDispose]());

async function received(messageId: string): Promise<string> {
  const mail = await waitFor(
    async () => (await platform.call<{ data: Mail[] }>('GET', `/v1/test/inbox?message_id=${messageId}&wait=20`)).body.data[0],
    { what: 'the mail' },
  );
  const { body: raw } = await platform.call<string>('GET', `/v1/test/inbox/${mail.id}/raw`);
  return raw;
}

describe('a template', () => {
  it('is sent with its variables in place, by its own door and by POST /messages, and what is scheduled stays as it was', async () => {
    const made = await platform.call<{ id: string; variables: unknown }>('POST', '/v1/templates', {
      name: 'Order confirmed',
      alias: 'order-confirmed',
      subject: 'Order {{ order }} confirmed',
      html: '<p>Thank you, {{ name }}!</p>{% for item in items %}<li>{{ item.name | upcase }}</li>{% endfor %}',
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.deepEqual(made.body.variables, [
      { name: 'order', required: true },
      { name: 'name', required: true },
      { name: 'items', required: true },
    ]);
    const variables = { order: 4711, name: 'Ada <admin>', items: [{ name: 'tea' }, { name: 'milk' }] };
    const envelope = { from: 'shop@shop.example', to: 'ada@example.org' };

    const sent = await platform.call<{ id: string }>('POST', '/v1/templates/order-confirmed/send', { ...envelope, variables });
    assert.equal(sent.status, 202, JSON.stringify(sent.body));
    const raw = await received(sent.body.id);
    assert.match(raw, /^Subject: Order 4711 confirmed\r?$/m);
    assert.match(raw, /<p>Thank you, Ada &lt;admin&gt;!<\/p><li>TEA<\/li><li>MILK<\/li>/);
    assert.match(raw, /^Thank you, Ada <admin>!\r?$/m, 'the text is made of the HTML');

    const batch = await platform.call<{ data: ({ id: string } | { error: { code: string; issues: { path: string }[] } })[] }>(
      'POST',
      '/v1/messages',
      [
        { ...envelope, template_id: made.body.id, variables: { ...variables, order: 1 } },
        { ...envelope, template_id: 'order-confirmed', variables: { order: 2 } },
        { ...envelope, subject: 'Plain', text: 'No template.' },
        {
          ...envelope,
          template_id: 'order-confirmed',
          variables: { ...variables, order: 3 },
          send_at: new Date(Date.now() + 3_000).toISOString(),
        },
      ],
    );
    assert.equal(batch.status, 202);
    const [first, missing, plain, scheduled] = batch.body.data;
    assert.ok(missing && 'error' in missing);
    assert.deepEqual(
      [missing.error.code, missing.error.issues.map(({ path }) => path)],
      ['MISSING_VARIABLES', ['variables.name', 'variables.items']],
    );
    assert.ok(first && 'id' in first && plain && 'id' in plain && scheduled && 'id' in scheduled);
    // Before the scheduled one is due: another version, and then nothing at all.
    const changed = await platform.call<{ published_version: number }>('PATCH', '/v1/templates/order-confirmed', {
      html: '<p>Changed</p>',
    });
    assert.deepEqual([changed.status, changed.body.published_version], [200, 2]);
    assert.equal((await platform.call('DELETE', '/v1/templates/order-confirmed')).status, 204);
    assert.match(await received(first.id), /^Subject: Order 1 confirmed/m);
    assert.match(await received(plain.id), /No template\./);
    assert.match(await received(scheduled.id), /<p>Thank you, Ada/);
    assert.equal((await platform.call('POST', '/v1/templates/order-confirmed/send', { ...envelope, variables })).status, 404);
  });

  it('that means harm costs its sender an error, and another’s mail goes through meanwhile', async () => {
    const { key } = await createTenant(platform, 'owner@attacker.example');
    const call = client(platform.api, key);
    const html = '{% for a in l %}{% for b in l %}{% for c in l %}{{ c }}{% endfor %}{% endfor %}{% endfor %}';
    const made = await call<{ id: string }>('POST', '/v1/templates', { name: 'Hostile', subject: 'x', html });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const variables = { l: Array.from({ length: 1000 }, () => '') };
    const attack = () =>
      call<{ error: { code: string } }>('POST', `/v1/templates/${made.body.id}/send`, {
        from: 'a@attack.example',
        to: 'b@example.org',
        variables,
      });
    const alone = await attack();
    assert.deepEqual([alone.status, alone.body.error.code], [422, 'TEMPLATE_ERROR']);
    const attacks = Promise.all(Array.from({ length: 10 }, attack));
    const message = { from: 'shop@shop.example', to: 'ada@example.org', subject: 'Meanwhile', text: 'Meanwhile.' };
    const ids: string[] = [];
    for (let count = 0; count < 20; count++) {
      const { status, body } = await platform.call<{ id: string }>('POST', '/v1/messages', message);
      assert.equal(status, 202);
      ids.push(body.id);
    }
    // One at a time is rendered for a tenant; who waits too long behind his own is told to come back.
    for (const { body } of await attacks) assert.ok(['TEMPLATE_ERROR', 'UNAVAILABLE'].includes(body.error.code), body.error.code);
    for (const id of ids) assert.match(await received(id), /Meanwhile\./);
  });
});
