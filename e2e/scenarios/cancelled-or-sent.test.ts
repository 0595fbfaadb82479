/**
 * A thousand messages, each deleted at a random moment between its 202 and its claim. Either the answer is 200 and it is never sent, or it is
 * 409 and it is: the API, the queue and the receiver say the same about each.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Answer, type Call, startPlatform } from '../platform.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 1_000);
const SENDERS = 16;

/** Asked again where the answer was only that there is none at the moment: what was decided the first time is what it says then. */
async function cancel(call: Call, id: string): Promise<Answer<{ error?: { code: string } }>> {
  for (let tries = 1; ; tries++) {
    const answer = await call<{ error?: { code: string } }>('DELETE', `/v1/messages/${id}`);
    if ((answer.status !== 503 && answer.status !== 504) || tries === 5) return answer;
  }
}

test(`each of ${MESSAGES} messages deleted on its way is either cancelled and never sent, or 409 and sent`, async (t) => {
  await using dns = await startInternet();
  await using receiver = await startSmtpReceiver({ keepRaw: false });
  await using platform = await startPlatform({
    env: { DELIVERY: 'smarthost', SMARTHOST: receiver.address, DNS_SERVERS: dns.address },
  });
  await verifiedDomain(platform.call, dns, 'yard.example');

  const answers = new Map<string, { to: string; cancelled: boolean }>();
  // Follows the moment of the claim: later after a message that could still be stopped, sooner after one that could not.
  let afterMs = 20;
  let number = 0;
  const sender = async (): Promise<void> => {
    while (number < MESSAGES) {
      const to = `accept+${number++}@sink.example`;
      const sent = await platform.call<{ id: string }>('POST', '/v1/messages', { from: 'load@yard.example', to, subject: to, text: to });
      assert.equal(sent.status, 202, JSON.stringify(sent.body));
      await delay(2 * afterMs * Math.random());
      const deleted = await cancel(platform.call, sent.body.id);
      assert.ok(deleted.status === 200 || deleted.status === 409, `${deleted.status} ${JSON.stringify(deleted.body)}`);
      if (deleted.status === 409) assert.equal(deleted.body.error?.code, 'MESSAGE_NOT_CANCELLABLE');
      const cancelled = deleted.status === 200;
      afterMs = Math.min(2_000, Math.max(1, afterMs * (cancelled ? 1.05 : 0.95)));
      answers.set(sent.body.id, { to, cancelled });
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));

  // The queue is empty: what could be sent has been.
  const database = new pg.Client(await platform.databaseUrl());
  await database.connect();
  try {
    await waitFor(async () => (await database.query('SELECT 1 FROM delivery.due LIMIT 1')).rowCount === 0, {
      what: 'an empty queue',
      timeoutMs: 60_000,
      intervalMs: 100,
    });
    const check = async (id: string, { to, cancelled }: { to: string; cancelled: boolean }): Promise<void> => {
      const status = cancelled ? 'cancelled' : 'delivered';
      await waitFor(async () => (await platform.call<{ status: string }>('GET', `/v1/messages/${id}`)).body.status === status, {
        what: `${id} to be ${status} for the API`,
        timeoutMs: 60_000,
        intervalMs: 50,
      });
      assert.equal(receiver.mailFor(to).length, cancelled ? 0 : 1, `${id} is ${status}, and came ${receiver.mailFor(to).length} times`);
    };
    const all = [...answers];
    const checker = async (): Promise<void> => {
      for (let next = all.pop(); next !== undefined; next = all.pop()) await check(...next);
    };
    await Promise.all(Array.from({ length: SENDERS }, checker));
    const ledger = await database.query<{ cancelled: boolean; count: number }>(
      'SELECT cancelled, count(*)::int AS count FROM delivery.ledger GROUP BY cancelled',
    );
    const inQueue = (cancelled: boolean) => ledger.rows.find((row) => row.cancelled === cancelled)?.count ?? 0;
    const stopped = [...answers.values()].filter((answer) => answer.cancelled).length;
    t.diagnostic(`${stopped} cancelled, ${answers.size - stopped} too late, ${receiver.messages.length} received`);
    assert.equal(inQueue(true), stopped);
    assert.equal(inQueue(false), answers.size - stopped);
    assert.equal(receiver.messages.length, answers.size - stopped);
    assert.equal(answers.size, MESSAGES);
    // Both happened, and often.
    assert.ok(stopped >= MESSAGES / 10 && stopped <= (MESSAGES * 9) / 10, `${stopped} of ${MESSAGES} could be cancelled`);
  } finally {
    await database.end();
  }
});
