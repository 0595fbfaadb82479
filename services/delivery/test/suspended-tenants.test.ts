// A tenant is suspended: what it has in the queue waits there, in nobody's way, and goes on when it is released, or ends when it has waited
// for too long.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { earliestDue } from '../src/store/due.ts';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

let house: House;
let receiver: SmtpReceiver;
let delivery: RunningDelivery;
let stop: AsyncDisposableStack;
const clock = new TestClock();
const inAnHour = () => new Date(clock.now().getTime() + 3_600_000);

before(async () => {
  await using opening = new AsyncDisposableStack();
  house = opening.use(await openHouse());
  receiver = opening.use(await startSmtpReceiver());
  mxZone(house.dns, 'late.test', [['mx', '127.0.0.1']]);
  await startDelivery();
  stop = opening.move();
});
after(() => stop?.[Symbol.asyncDispose]());

const startDelivery = async () => {
  delivery = await house.startDelivery({ MX_PORT: String(receiver.port), RETRY_SCHEDULE: '60,60' }, { clock });
};

async function queued(id: string, count: number): Promise<void> {
  await waitFor(async () => (await house.due(id)).length === count, { what: 'the queue has it' });
}

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
  await house.accept({ id, to: ['held@late.test'], tenantId, sendAt: inAnHour() });
  await queued(id, 1);
  await house.suspend(tenantId);
  clock.advance(3_600_000);
  await othersGoOut();
  await waitsUntouched(id);
  assert.equal(await earliestDue(house.database, [], clock.now()), undefined, 'nobody looks again and again for what stays');
  await house.suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('so it does where delivery was away when its tenant was suspended, and where it starts and can ask nobody', async () => {
  const [id, tenantId] = [newId('msg'), newId('ten')];
  await delivery[Symbol.asyncDispose]();
  house.suspended = new Set([tenantId]);
  await house.accept({ id, to: ['away@late.test'], tenantId });
  await startDelivery();
  await queued(id, 1);
  await othersGoOut();
  await waitsUntouched(id);
  await delivery[Symbol.asyncDispose]();
  house.suspended = undefined;
  await startDelivery();
  await othersGoOut();
  await waitsUntouched(id);
  await house.suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('it ends as failed when it has waited for longer than it would have been tried; what is due later stays', async () => {
  const [id, later, tenantId] = [newId('msg'), newId('msg'), newId('ten')];
  await house.suspend(tenantId);
  await house.accept({ id, to: ['forgotten@late.test'], tenantId });
  await house.accept({ id: later, to: ['later@late.test'], tenantId, sendAt: new Date(clock.now().getTime() + 86_400_000) });
  await queued(id, 1);
  await queued(later, 1);
  // It is looked for once a minute, and at the start.
  const startAgainAfter = async (hours: number) => {
    await delivery[Symbol.asyncDispose]();
    clock.advance(hours * 3_600_000);
    await startDelivery();
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
