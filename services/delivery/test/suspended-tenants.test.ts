// A tenant is suspended: what it has in the queue waits there, in nobody's way, and goes on when it is released, or ends when it has waited
// for too long.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { earliestDue } from '../src/store/due.ts';
import type { House, RunningDelivery } from './delivery.ts';
import { openWaitingMail, type WaitingMail } from './waiting-mail.ts';

let mail: WaitingMail;
let house: House;
let delivery: RunningDelivery;

before(async () => {
  mail = await openWaitingMail();
  house = mail.house;
  delivery = await mail.startDelivery();
});
after(() => mail?.[Symbol.asyncDispose]());

/** Another tenant's mail goes out, so whatever else was due was looked at. */
async function othersGoOut(): Promise<void> {
  const id = await house.accept({ to: ['other@late.test'], tenantId: newId('ten') });
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
}

async function waitsUntouched(id: string): Promise<void> {
  const rows = (await house.due(id)).map(({ attempt, claims, incarnation }) => ({ attempt, claims, incarnation }));
  assert.deepEqual([rows, house.outcomes(id)], [[{ attempt: 0, claims: 0, incarnation: null }], []]);
}

it('what is queued for a tenant waits while it is suspended, in nobody’s way, and goes on after its release', async () => {
  const [id, tenantId] = [newId('msg'), newId('ten')];
  await house.accept({ id, to: ['held@late.test'], tenantId, sendAt: mail.inAnHour() });
  await mail.queued(id, 1);
  await house.suspend(tenantId);
  mail.clock.advance(3_600_000);
  await othersGoOut();
  await waitsUntouched(id);
  assert.equal(await earliestDue(house.database, [], mail.clock.now()), undefined, 'nobody looks again and again for what stays');
  await house.suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('so it does where delivery was away when its tenant was suspended, and where it starts and can ask nobody', async () => {
  const [id, tenantId] = [newId('msg'), newId('ten')];
  await delivery[Symbol.asyncDispose]();
  house.suspended = new Set([tenantId]);
  await house.accept({ id, to: ['away@late.test'], tenantId });
  delivery = await mail.startDelivery();
  await mail.queued(id, 1);
  await othersGoOut();
  await waitsUntouched(id);
  await delivery[Symbol.asyncDispose]();
  house.suspended = undefined;
  delivery = await mail.startDelivery();
  await othersGoOut();
  await waitsUntouched(id);
  await house.suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('what is on its way to a host when its tenant is suspended is given back before its first byte', async () => {
  const [id, tenantId, address] = [newId('msg'), newId('ten'), 'on-its-way@late.test'];
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  mail.receiver.setBehaviour(async ({ stage, recipient }) => {
    if (stage !== 'rcpt' || recipient !== address) return undefined;
    asked.resolve();
    await answer.promise;
    return undefined;
  });
  await house.accept({ id, to: [address], tenantId });
  await asked.promise;
  await house.suspend(tenantId);
  answer.resolve();
  await waitFor(async () => (await house.due(id)).every(({ incarnation }) => incarnation === null), { what: 'it is given back' });
  const rows = (await house.due(id)).map(({ attempt, claims }) => ({ attempt, claims }));
  assert.deepEqual([rows, house.outcomes(id), mail.receiver.mailFor(address).length], [[{ attempt: 0, claims: 1 }], [], 0]);
  await house.suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual([house.outcomes(id), mail.receiver.mailFor(address).length], [['delivered'], 1]);
});

it('it ends as failed when it has waited for longer than it would have been tried; what is due later stays', async () => {
  const [id, later, tenantId] = [newId('msg'), newId('msg'), newId('ten')];
  await house.suspend(tenantId);
  await house.accept({ id, to: ['forgotten@late.test'], tenantId });
  await house.accept({ id: later, to: ['later@late.test'], tenantId, sendAt: new Date(mail.clock.now().getTime() + 86_400_000) });
  await mail.queued(id, 1);
  await mail.queued(later, 1);
  // It is looked for once a minute, and at the start.
  const startAgainAfter = async (hours: number) => {
    await delivery[Symbol.asyncDispose]();
    mail.clock.advance(hours * 3_600_000);
    delivery = await mail.startDelivery();
  };
  await startAgainAfter(23);
  await othersGoOut();
  await waitsUntouched(id);
  await startAgainAfter(2);
  const [ended] = await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['failed']);
  assert.equal(ended?.attempt, 0);
  assert.match(ended?.bounce?.diagnostic ?? '', /the account is suspended/);
  await waitsUntouched(later);
  await house.suspend();
  await house.waitForOutcomes(later, 1);
  assert.deepEqual(house.outcomes(later), ['delivered']);
});
