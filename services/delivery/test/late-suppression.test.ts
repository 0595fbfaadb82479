// An address comes onto its tenant's list after a message to it was accepted: what waits, and what is tried again, does not go out; what the
// list doesn't mean after all does; and about nobody else is anything asked.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import type { House } from './delivery.ts';
import { openWaitingMail, type WaitingMail } from './waiting-mail.ts';

let mail: WaitingMail;
let house: House;

before(async () => {
  mail = await openWaitingMail();
  house = mail.house;
  await mail.startDelivery();
});
after(() => mail?.[Symbol.asyncDispose]());

it('what is scheduled ends as suppressed, without an attempt; others of the message get it', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['Gone@late.test', 'stays@late.test'], sendAt: mail.inAnHour() });
  await mail.queued(id, 2);
  // Messaging's answer is for the recipients that it is asked about.
  house.suppressed?.add(id);
  await house.suppress('gone@late.test');
  mail.clock.advance(3_600_000);
  const events = await house.waitForOutcomes(id, 2);
  const of = (number: number) => events.find((event) => event.recipientNumber === number);
  assert.deepEqual(house.outcomes(id).sort(), ['delivered', 'suppressed']);
  assert.equal(of(0)?.attempt, 0);
  assert.equal(of(0)?.session, undefined);
  assert.equal(of(0)?.nextAttemptAt, undefined);
  assert.ok(of(0)?.finishedAt);
  assert.deepEqual(
    mail.receiver.messages.flatMap((one) => one.recipients.map(({ address }) => address)).filter((one) => /gone|stays/i.test(one)),
    ['stays@late.test'],
  );
  assert.deepEqual(await house.due(id), []);
});

it('an address beyond ASCII is asked about, in whichever case it is', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['JÖRG@late.test'], sendAt: mail.inAnHour() });
  await mail.queued(id, 1);
  house.suppressed?.add(id);
  await house.suppress('jörg@late.test');
  mail.clock.advance(3_600_000);
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['suppressed']);
});

it('what was deferred is not tried again', async () => {
  const id = await house.accept({ to: ['defer+late@late.test'] });
  await house.waitForOutcomes(id, 1);
  house.suppressed?.add(id);
  await house.suppress('defer+late@late.test');
  mail.clock.advance(70_000);
  await house.waitForOutcomes(id, 2);
  assert.deepEqual(house.outcomes(id), ['deferred', 'suppressed']);
});

it('a message of another stream, or one whose address was taken off again, goes out', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['other-stream@late.test'], sendAt: mail.inAnHour() });
  await mail.queued(id, 1);
  await house.suppress('other-stream@late.test');
  mail.clock.advance(3_600_000);
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('while messaging can’t be asked it waits rather than goes out', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['unasked@late.test'], sendAt: mail.inAnHour() });
  await mail.queued(id, 1);
  await house.suppress('unasked@late.test');
  const known = house.suppressed;
  house.suppressed = undefined;
  mail.clock.advance(3_600_000);
  const [deferred] = await house.waitForOutcomes(id, 1);
  assert.match(deferred?.bounce?.diagnostic ?? '', /could not be asked/);
  house.suppressed = known;
  known?.add(id);
  mail.clock.advance(70_000);
  await house.waitForOutcomes(id, 2);
  assert.deepEqual(house.outcomes(id), ['deferred', 'suppressed']);
  assert.equal(mail.receiver.mailFor('unasked@late.test').length, 0);
});

it('the same address of another tenant, and all others, go out without a question', async () => {
  await house.suppress('mine@late.test');
  const asked = house.calls.findSuppressed;
  const other = await house.accept({ to: ['mine@late.test'], tenantId: newId('ten') });
  const plain = await house.accept({ to: ['someone@late.test'] });
  await house.waitForOutcomes(other, 1);
  await house.waitForOutcomes(plain, 1);
  assert.deepEqual([house.outcomes(other), house.outcomes(plain)], [['delivered'], ['delivered']]);
  assert.equal(house.calls.findSuppressed, asked);
});
