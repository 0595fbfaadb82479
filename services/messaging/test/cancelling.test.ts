// Cancelling: delivery's answer is recorded at once and once, what is too late stays, and nothing changes here when delivery can't be asked.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.deliveryService.cancel = (numbers) => numbers;
  world.deliveryService.calls.length = 0;
});

const { RECIPIENT_STATUS_CANCELLED, RECIPIENT_STATUS_QUEUED, RECIPIENT_STATUS_DELIVERED } = RecipientStatus;
const to = [
  { email: 'a@rcpt.example', name: '' },
  { email: 'b@rcpt.example', name: '' },
];

describe('cancelling', () => {
  it('asks delivery for all recipients, and answers with the message as it stands then', async () => {
    const { id } = await world.acceptOne({ to });
    const { message } = await world.cancel(id);
    assert.deepEqual(world.deliveryService.calls, [{ messageId: id, numbers: [0, 1] }]);
    assert.equal(message?.status, MessageStatus.MESSAGE_STATUS_CANCELLED);
    assert.deepEqual(
      message?.recipients.map((one) => one.status),
      [RECIPIENT_STATUS_CANCELLED, RECIPIENT_STATUS_CANCELLED],
    );
    assert.deepEqual(
      (await world.get(id)).events.map((event) => [event.type, event.recipient]),
      [
        ['message.accepted', ''],
        ['message.cancelled', 'a@rcpt.example'],
        ['message.cancelled', 'b@rcpt.example'],
      ],
    );
  });

  it('leaves what is too late; the rest of the message goes on', async () => {
    const { id } = await world.acceptOne({ to });
    world.deliveryService.cancel = () => [1];
    const { message } = await world.cancel(id);
    assert.deepEqual(
      message?.recipients.map((one) => one.status),
      [RECIPIENT_STATUS_QUEUED, RECIPIENT_STATUS_CANCELLED],
    );
    await world.tellAttempts({ messageId: id, recipientNumber: 0, attempt: 1, outcome: Outcome.OUTCOME_DELIVERED, finishedAt: new Date() });
    await waitFor(async () => (await world.get(id)).message?.status === MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED, {
      what: 'the other one',
    });
  });

  it('is recorded once, whether our call or delivery’s event comes first', async () => {
    const { id } = await world.acceptOne({ to });
    const told = (recipientNumber: number) => ({
      messageId: id,
      recipientNumber,
      recipient: to[recipientNumber]!.email,
      attempt: 2,
      outcome: Outcome.OUTCOME_CANCELLED,
      finishedAt: new Date(),
    });
    // The event of recipient 0 first; the call next, which delivery answers again; then both events.
    await world.tellAttempts(told(0));
    await waitFor(async () => (await world.get(id)).message?.recipients[0]?.status === RECIPIENT_STATUS_CANCELLED, { what: 'the event' });
    await world.cancel(id);
    await world.tellAttempts(told(1), told(0), {
      messageId: id,
      recipientNumber: 0,
      attempt: 3,
      outcome: Outcome.OUTCOME_DEFERRED,
      finishedAt: new Date(),
    });
    await waitFor(async () => (await world.get(id)).events.some((event) => event.type === 'message.deferred'), { what: 'the last event' });
    const { message, events } = await world.get(id);
    assert.equal(events.filter((event) => event.type === 'message.cancelled').length, 2);
    assert.equal(message?.status, MessageStatus.MESSAGE_STATUS_CANCELLED);
  });

  it('again answers the same: its first answer may have been lost', async () => {
    const { id } = await world.acceptOne({ to });
    const first = await world.cancel(id);
    assert.deepEqual(await world.cancel(id), first);
    assert.equal(world.deliveryService.calls.length, 1, 'there was nothing left to ask for');
  });

  it('when nothing can be stopped is refused, and changes nothing', async () => {
    const { id } = await world.acceptOne({ to });
    const beforeCall = await world.get(id);
    world.deliveryService.cancel = () => [];
    await assert.rejects(world.cancel(id), rpcError('MESSAGE_NOT_CANCELLABLE'));
    assert.deepEqual(await world.get(id), beforeCall);
  });

  it('of a delivered message is refused without asking', async () => {
    const { id } = await world.acceptOne();
    await world.tellAttempts({ messageId: id, recipientNumber: 0, attempt: 1, outcome: Outcome.OUTCOME_DELIVERED, finishedAt: new Date() });
    await waitFor(async () => (await world.get(id)).message?.recipients[0]?.status === RECIPIENT_STATUS_DELIVERED, { what: 'delivery' });
    await assert.rejects(world.cancel(id), rpcError('MESSAGE_NOT_CANCELLABLE'));
    assert.equal(world.deliveryService.calls.length, 0);
  });

  it('while delivery is down is UNAVAILABLE, and changes nothing', async () => {
    const { id } = await world.acceptOne({ to });
    const beforeCall = await world.get(id);
    world.deliveryService.down = true;
    await assert.rejects(world.cancel(id), rpcError('UNAVAILABLE'));
    world.deliveryService.down = false;
    assert.deepEqual(await world.get(id), beforeCall);
    await world.cancel(id);
  });

  it('a message that is not there, or somebody else’s, is not found, and delivery is not asked', async () => {
    const { id } = await world.acceptOne();
    await assert.rejects(world.cancel(id, newId('ten')), rpcError('NOT_FOUND'));
    await assert.rejects(world.cancel(newId('msg')), rpcError('NOT_FOUND'));
    assert.equal(world.deliveryService.calls.length, 0);
  });
});
