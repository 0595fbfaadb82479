/**
 * What a caller must not notice: that there may be two of every process. Calls that belong together come in by different doors, at the
 * same moment or one after the other. Alone, both doors are the same one.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { type Answer, type Call, client, type Platform, startPlatform } from '../platform.ts';

interface Message {
  id: string;
}
interface Page {
  data: Message[];
  next_cursor: string | null;
}

let platform: Platform;
/** Past the balancer: two doors, or the one twice. */
let doors: [Call, Call];

before(async () => {
  platform = await startPlatform();
  const [first, second = first] = platform.gateways;
  doors = [client(first as string, platform.key), client(second as string, platform.key)];
});
after(async () => {
  await platform[Symbol.asyncDispose]();
});

test('one idempotency key at the same moment at both doors makes one message', async () => {
  const ids = new Set<string>();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    const body = { from: 'a@shop.example', to: 'b@example.org', subject: `Once ${round}`, text: 'x' };
    const headers = { 'idempotency-key': `once-${round}` };
    const answers = await Promise.all(
      [...doors, ...doors].map((call) => call<Message & { error?: { code: string } }>('POST', '/v1/messages', body, headers)),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    const refused = answers.filter(({ status }) => status !== 202);
    // Either the first one's answer again, or that it is still under way: nothing else, and never a second message.
    assert.ok(accepted.length >= 1, summary(answers));
    assert.ok(
      refused.every(({ status, body: { error } }) => status === 409 && error?.code === 'IDEMPOTENCY_IN_PROGRESS'),
      summary(answers),
    );
    assert.equal(new Set(accepted.map(({ body: { id } }) => id)).size, 1, summary(answers));
    const later = await Promise.all(doors.map((call) => call<Message>('POST', '/v1/messages', body, headers)));
    for (const { status, headers: answered, body: again } of later) {
      assert.equal(status, 202);
      assert.equal(answered.get('idempotent-replayed'), 'true');
      assert.equal(again.id, accepted[0]?.body.id);
    }
    ids.add(accepted[0]?.body.id ?? '');
  }
  assert.equal(ids.size, rounds);
  const { body } = await doors[0]<Page>('GET', '/v1/messages?limit=100');
  assert.equal(body.data.length, rounds);
});

test('a cursor of one door goes on at the other: every message once, newest first', async () => {
  const sent: string[] = [];
  for (let number = 0; number < 25; number++) {
    const call = doors[number % 2] as Call;
    const { status, body } = await call<Message>('POST', '/v1/messages', { from: 'pages@shop.example', to: 'b@example.org', text: 'x' });
    assert.equal(status, 202);
    sent.push(body.id);
  }
  const seen: string[] = [];
  let cursor = '';
  for (let page = 0; seen.length < sent.length; page++) {
    const call = doors[page % 2] as Call;
    const { status, body } = await call<Page>('GET', `/v1/messages?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    assert.equal(status, 200);
    assert.ok(body.data.length > 0, `page ${page} is empty after ${seen.length} messages`);
    seen.push(...body.data.map(({ id }) => id));
    assert.ok(body.next_cursor);
    cursor = body.next_cursor;
  }
  assert.deepEqual(seen.slice(0, sent.length), sent.toReversed());
});

test('a wait for a mail ends soon after it has come, whoever captured it', async () => {
  // Several, so that each delivery process has some: a wait at the one must see what the other took.
  for (let number = 0; number < 6; number++) {
    const to = `waited-for-${number}@example.org`;
    const waits = doors.map(async (call) => {
      const answer = await call<{ data: { rcpt_to: string[] }[] }>('GET', `/v1/test/inbox?to=${encodeURIComponent(to)}&wait=20`);
      return { ...answer, endedAt: performance.now() };
    });
    const sent = await (doors[number % 2] as Call)<Message>('POST', '/v1/messages', { from: 'a@shop.example', to, text: 'x' });
    assert.equal(sent.status, 202);
    const answers = await Promise.all(waits);
    for (const { status, body } of answers) {
      assert.equal(status, 200);
      assert.deepEqual(
        body.data.map(({ rcpt_to }) => rcpt_to),
        [[to]],
      );
    }
    const apartMs = Math.abs((answers[0]?.endedAt ?? 0) - (answers[1]?.endedAt ?? 0));
    assert.ok(apartMs < 15_000, `one wait ended ${apartMs} ms after the other`);
  }
});

test('a key is good at every door as soon as it is made, and at none soon after it is revoked', async () => {
  const made = await doors[0]<{ id: string; key: string }>('POST', '/v1/api-keys', { name: 'short-lived', scope: 'read' });
  assert.equal(made.status, 201);
  const holders = platform.gateways.map((url) => client(url, made.body.key));
  for (const call of holders) assert.equal((await call('GET', '/v1/messages?limit=1')).status, 200);
  assert.equal((await doors[1]('DELETE', `/v1/api-keys/${made.body.id}`)).status, 204);
  const revokedAt = performance.now();
  for (const call of holders) {
    // What a door knows of a key it forgets after 3 s.
    await waitFor(async () => (await call('GET', '/v1/messages?limit=1')).status === 401, { what: 'the key to be worth nothing' });
    assert.ok(performance.now() - revokedAt < 15_000, 'the 5 s, and what a busy machine needs');
  }
});

test('a message that is cancelled at one door is cancelled at the other', async () => {
  const send_at = new Date(Date.now() + 3_600_000).toISOString();
  const message = { from: 'a@shop.example', to: 'later@example.org', text: 'x', send_at };
  const sent = await doors[0]<Message>('POST', '/v1/messages', message);
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const answers = await Promise.all(doors.map((call) => call('DELETE', `/v1/messages/${sent.body.id}`)));
  assert.ok(
    answers.some(({ status }) => status === 200 || status === 204),
    summary(answers),
  );
  for (const call of doors) {
    const { body } = await call<{ status: string }>('GET', `/v1/messages/${sent.body.id}`);
    assert.equal(body.status, 'cancelled');
  }
});

function summary(answers: Answer<unknown>[]): string {
  return answers.map(({ status, body }) => `${status} ${JSON.stringify(body)}`).join('\n');
}
