// The mode of now decides where an attempt goes, whatever the mode was when its row was enqueued: rows that a killed process held are freed
// with the destination of its mode, after the start has moved all others.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { idToUuid, newUuid } from '@maildoot/runtime/ids';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { type House, mxZone, openHouse } from './delivery.ts';

describe('after a change of DELIVERY', () => {
  let house: House;
  // Where mail goes by MX, and the smarthost.
  let outside: SmtpReceiver;
  let smarthost: SmtpReceiver;

  before(async () => {
    house = await openHouse();
    [outside, smarthost] = await Promise.all([startSmtpReceiver(), startSmtpReceiver()]);
    mxZone(house.dns, 'one.test', [['mx', '127.0.0.1']]);
    mxZone(house.dns, 'two.test', [['mx', '127.0.0.1']]);
  });
  after(async () => {
    await outside?.[Symbol.asyncDispose]();
    await smarthost?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  type Door = 'outside' | 'smarthost' | 'inbox';
  // The mode of now, the destination stored in another one, whether the message is captured by name, where it has to go, where it is retried.
  const cases: { mode: string; stored: string; captured: boolean; door: Door; next: string[] }[] = [
    { mode: 'capture', stored: 'one.test', captured: false, door: 'inbox', next: ['capture', 'capture'] },
    { mode: 'capture', stored: 'smarthost', captured: false, door: 'inbox', next: ['capture', 'capture'] },
    { mode: 'smarthost', stored: 'one.test', captured: false, door: 'smarthost', next: ['smarthost', 'smarthost'] },
    { mode: 'smarthost', stored: 'capture', captured: false, door: 'smarthost', next: ['smarthost', 'smarthost'] },
    { mode: 'direct', stored: 'smarthost', captured: false, door: 'outside', next: ['one.test', 'two.test'] },
    { mode: 'direct', stored: 'capture', captured: false, door: 'outside', next: ['one.test', 'two.test'] },
    { mode: 'direct', stored: 'one.test', captured: true, door: 'inbox', next: ['capture', 'capture'] },
    { mode: 'smarthost', stored: 'smarthost', captured: true, door: 'inbox', next: ['capture', 'capture'] },
  ];
  for (const { mode, stored, captured, door, next } of cases) {
    it(`${mode}: what was held for ${stored}${captured ? ' and is captured by name' : ''} goes to the ${door}`, async () => {
      const tag = `${mode}-${stored.replace('.', '')}`;
      const to = [`accept+${tag}@one.test`, `accept+${tag}@two.test`];
      await using delivery = await house.startDelivery({
        DELIVERY: mode,
        MX_PORT: String(outside.port),
        RETRY_SCHEDULE: '600,600,600',
        ...(mode === 'smarthost' && { SMARTHOST: smarthost.address }),
      });
      const id = await house.accept({ to, captured, sendAt: new Date(Date.now() + 3_600_000) });
      await waitFor(async () => (await house.due(id)).length === 2, { what: 'the due rows' });
      for (const receiver of [outside, smarthost]) {
        receiver.setBehaviour(({ stage }) => (stage === 'rcpt' ? { kind: 'reply', code: 451, text: 'later' } : undefined));
      }
      await house.database.pool.query('ALTER TABLE captured_mail RENAME TO captured_mail_away');
      await leftBehind(id, stored);
      // Interrupted, and then tried: once refused for the moment, to see where the next attempt queues.
      await house.waitForOutcomes(id, 4);
      await house.database.pool.query('ALTER TABLE captured_mail_away RENAME TO captured_mail');
      for (const receiver of [outside, smarthost]) receiver.setBehaviour(undefined);
      assert.deepEqual(house.outcomes(id).toSorted(), ['deferred', 'deferred', 'interrupted', 'interrupted']);
      await waitFor(async () => (await house.due(id)).every((row) => row.incarnation === null), { what: 'the rows to be free' });
      assert.deepEqual(
        (await house.due(id)).map((row) => row.destination),
        next,
      );
      await leftBehind(id, stored);
      await house.waitForOutcomes(id, 8);
      assert.deepEqual(house.outcomes(id).toSorted().slice(0, 4), ['deferred', 'deferred', 'delivered', 'delivered']);
      const { mails } = await delivery.asGateway.listCapturedMail(
        { limit: 20, afterId: '', to: '', subject: '', waitMs: 0, messageId: id },
        { tenantId: house.tenantId },
      );
      const reached = (receiver: SmtpReceiver): number => to.filter((address) => receiver.mailFor(address).length > 0).length;
      assert.deepEqual(
        { inbox: mails.flatMap((mail) => mail.rcptTo).length, outside: reached(outside), smarthost: reached(smarthost) },
        { inbox: 0, outside: 0, smarthost: 0, [door]: 2 },
      );
    });
  }

  /** What a process of another mode leaves that is known to have been killed: rows that it holds, with the destinations they had then. */
  async function leftBehind(messageId: string, destination: string): Promise<void> {
    const dead = newUuid();
    await house.database.transaction(async (client) => {
      await client.query("INSERT INTO incarnation (id, heartbeat_at) VALUES ($1, '-infinity')", [dead]);
      await client.query('UPDATE due SET incarnation = $1, claimed_at = now(), attempt = 1, destination = $2 WHERE message_id = $3', [
        dead,
        destination,
        idToUuid('msg', messageId),
      ]);
    });
  }
});
