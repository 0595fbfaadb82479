// Bytes of one's own: each recipient of a message with marks gets its own links, signed; and another time for what was never tried.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { linkKeys, linkMark, readLinkToken, tokenChars } from '@maildoot/mail/tracking-token';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { type House, openHouse, type RunningDelivery, rpcSecret } from './delivery.ts';

let house: House;
let delivery: RunningDelivery;
const clock = new TestClock();

before(async () => {
  house = await openHouse();
  house.makeKey('shop.test');
  delivery = await house.startDelivery({ DELIVERY: 'capture' }, { clock });
});
after(async () => {
  await delivery?.[Symbol.asyncDispose]();
  await house?.[Symbol.asyncDispose]();
});

const call = () => ({ tenantId: house.tenantId });
const mailOf = async (messageId: string) => {
  const { mails } = await delivery.asGateway.listCapturedMail(
    { limit: 100, afterId: '', to: '', subject: '', waitMs: 0, messageId },
    call(),
  );
  return await Promise.all(mails.map(async ({ id }) => await delivery.asGateway.getCapturedMail({ id }, call())));
};

describe('a message with marks', () => {
  it('is sent to each recipient by itself, with a token of its own inside the signature', async () => {
    const id = newId('msg');
    const uuid = idToUuid('msg', id)!;
    const text = `https://x.test/u/${linkMark('unsubscribe', uuid)} https://x.test/t/o/${linkMark('open', uuid)}`;
    const to = ['ann@one.test', 'bob@one.test', 'cid@one.test'];
    await house.accept({ id, to, text, signingDomain: 'shop.test', personal: true });
    await house.waitForOutcomes(id, 3);
    const mails = await mailOf(id);
    assert.deepEqual(mails.map(({ mail }) => mail?.rcptTo.join()).sort(), to);
    for (const { mail, raw } of mails) {
      assert.equal(mail?.dkim, 'pass');
      const recipientNumber = to.indexOf(mail?.rcptTo[0] ?? '');
      const links = new RegExp(`/u/([\\w-]{${tokenChars}}) https://x.test/t/o/([\\w-]{${tokenChars}})`).exec(raw.toString());
      const keys = linkKeys(undefined, rpcSecret);
      assert.deepEqual(readLinkToken(keys, 'unsubscribe', links?.[1] ?? ''), { messageId: uuid, recipientNumber });
      assert.deepEqual(readLinkToken(keys, 'open', links?.[2] ?? ''), { messageId: uuid, recipientNumber });
    }
  });

  it('is told by its event: the same text without it goes out as it is, once for all', async () => {
    const id = newId('msg');
    const mark = linkMark('open', idToUuid('msg', id)!);
    await house.accept({ id, to: ['ann@two.test', 'bob@two.test'], text: mark });
    await house.waitForOutcomes(id, 2);
    const mails = await mailOf(id);
    assert.equal(mails.length, 1);
    assert.ok(mails[0]?.raw.includes(mark));
  });
});

describe('another time', () => {
  const inMinutes = (minutes: number) => new Date(clock.now().getTime() + minutes * 60_000);
  const reschedule = (messageId: string, recipientNumbers: number[], sendAt: Date, tenantId = house.tenantId) =>
    delivery.schedule.rescheduleRecipients({ messageId, recipientNumbers, sendAt }, { tenantId });
  const scheduled = async (to: string[], minutes: number) => {
    const id = await house.accept({ to, sendAt: inMinutes(minutes) });
    await waitFor(async () => (await house.due(id)).length === to.length, { what: 'the queue' });
    return id;
  };

  it('is kept: not before it, and then', async () => {
    const id = await scheduled(['ann@three.test', 'bob@three.test'], 10);
    assert.deepEqual(await reschedule(id, [0, 1], inMinutes(60)), { rescheduled: [0, 1], tooLate: [], notYet: [] });
    await clock.advance(30 * 60_000);
    const other = await house.accept({ to: ['marker@three.test'] });
    await house.waitForOutcomes(other, 1);
    assert.deepEqual(house.outcomes(id), []);
    await clock.advance(31 * 60_000);
    await house.waitForOutcomes(id, 2);
  });

  it('may be sooner, or now', async () => {
    const id = await scheduled(['ann@four.test'], 600);
    assert.deepEqual((await reschedule(id, [0], clock.now())).rescheduled, [0]);
    await house.waitForOutcomes(id, 1);
    assert.deepEqual(await reschedule(id, [0], inMinutes(5)), { rescheduled: [], tooLate: [0], notYet: [] });
  });

  it('is too late for what an attempt holds, what was tried before, and what was cancelled', async () => {
    const id = await scheduled(['ann@five.test', 'bob@five.test', 'cid@five.test', 'dan@five.test'], 600);
    const uuid = idToUuid('msg', id);
    await house.database.pool.query('UPDATE due SET incarnation = gen_random_uuid() WHERE message_id = $1 AND recipient_number = 0', [
      uuid,
    ]);
    await house.database.pool.query('UPDATE due SET attempt = 1 WHERE message_id = $1 AND recipient_number = 1', [uuid]);
    await delivery.rpc.cancelRecipients({ messageId: id, recipientNumbers: [2] }, call());
    assert.deepEqual(await reschedule(id, [0, 1, 2, 3], inMinutes(700)), { rescheduled: [3], tooLate: [0, 1, 2], notYet: [] });
  });

  it('can’t be given to what the queue has not heard of, nor to another tenant’s', async () => {
    assert.deepEqual((await reschedule(newId('msg'), [0], inMinutes(5))).notYet, [0]);
    const id = await scheduled(['ann@six.test'], 600);
    assert.deepEqual((await reschedule(id, [0], clock.now(), newId('ten'))).rescheduled, []);
    assert.deepEqual(house.outcomes(id), []);
  });
});
