// An address comes onto its tenant's list after a message to it was accepted: what waits, and what is tried again, does not go out; what the
// list doesn't mean after all does; and about nobody else is anything asked. So too of a tenant that is suspended meanwhile.
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { DestinationServiceService } from '@maildoot/proto/maildoot/delivery/v1/destination';
import { createRpcClient } from '@maildoot/rpc/client';
import { newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { earliestDue } from '../src/store/due.ts';
import { type House, mxZone, openHouse, type RunningDelivery, rpcSecret } from './delivery.ts';

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

it('what is scheduled ends as suppressed, without an attempt; others of the message get it', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['Gone@late.test', 'stays@late.test'], sendAt: inAnHour() });
  await queued(id, 2);
  // Messaging's answer is for the recipients that it is asked about.
  house.suppressed?.add(id);
  await house.suppress('gone@late.test');
  clock.advance(3_600_000);
  const events = await house.waitForOutcomes(id, 2);
  const of = (number: number) => events.find((event) => event.recipientNumber === number);
  assert.deepEqual(house.outcomes(id).sort(), ['delivered', 'suppressed']);
  assert.equal(of(0)?.attempt, 0);
  assert.equal(of(0)?.session, undefined);
  assert.equal(of(0)?.nextAttemptAt, undefined);
  assert.ok(of(0)?.finishedAt);
  assert.deepEqual(
    receiver.messages.flatMap((one) => one.recipients.map(({ address }) => address)).filter((one) => /gone|stays/i.test(one)),
    ['stays@late.test'],
  );
  assert.deepEqual(await house.due(id), []);
});

it('what was deferred is not tried again', async () => {
  const id = await house.accept({ to: ['defer+late@late.test'] });
  await house.waitForOutcomes(id, 1);
  house.suppressed?.add(id);
  await house.suppress('defer+late@late.test');
  clock.advance(70_000);
  await house.waitForOutcomes(id, 2);
  assert.deepEqual(house.outcomes(id), ['deferred', 'suppressed']);
});

it('a message of another stream, or one whose address was taken off again, goes out', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['other-stream@late.test'], sendAt: inAnHour() });
  await queued(id, 1);
  await house.suppress('other-stream@late.test');
  clock.advance(3_600_000);
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('while messaging can’t be asked it waits rather than goes out', async () => {
  const id = newId('msg');
  await house.accept({ id, to: ['unasked@late.test'], sendAt: inAnHour() });
  await queued(id, 1);
  await house.suppress('unasked@late.test');
  const known = house.suppressed;
  house.suppressed = undefined;
  clock.advance(3_600_000);
  const [deferred] = await house.waitForOutcomes(id, 1);
  assert.match(deferred?.bounce?.diagnostic ?? '', /could not be asked/);
  house.suppressed = known;
  known?.add(id);
  clock.advance(70_000);
  await house.waitForOutcomes(id, 2);
  assert.deepEqual(house.outcomes(id), ['deferred', 'suppressed']);
  assert.equal(receiver.mailFor('unasked@late.test').length, 0);
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

/** Tells auth's answer, and waits until claims go by it. */
async function suspend(...tenants: string[]): Promise<void> {
  house.suspended = new Set(tenants);
  await waitFor(async () => (await house.database.pool.query('SELECT FROM suspended_tenant')).rowCount === tenants.length, {
    what: 'delivery knows who is suspended',
  });
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
  await suspend(tenantId);
  clock.advance(3_600_000);
  await othersGoOut();
  await waitsUntouched(id);
  assert.equal(await earliestDue(house.database, [], clock.now()), undefined, 'nobody looks again and again for what stays');
  await suspend();
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
  await suspend();
  await house.waitForOutcomes(id, 1);
  assert.deepEqual(house.outcomes(id), ['delivered']);
});

it('it ends as failed when it has waited for longer than it would have been tried; what is due later stays', async () => {
  const [id, later, tenantId] = [newId('msg'), newId('msg'), newId('ten')];
  await suspend(tenantId);
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
  await suspend();
  await house.waitForOutcomes(later, 1);
  assert.deepEqual(house.outcomes(later), ['delivered']);
});

it('the operator sees what waits for whom, and nobody else', async () => {
  const [id, later, tenantId] = [newId('msg'), newId('msg'), newId('ten')];
  await suspend(tenantId);
  await house.accept({ id, to: ['one@late.test', 'two@late.test'], tenantId });
  await house.accept({ id: later, to: ['later@late.test'], tenantId, sendAt: inAnHour() });
  const as = (self: string) =>
    createRpcClient(DestinationServiceService, { address: delivery.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 10_000 });
  await using operator = as('standalone');
  const { destinations, hasMore } = await waitFor(
    async () => {
      const found = await operator.listDestinations({ limit: 1 });
      return found.destinations[0]?.later === 1n && found.destinations[0].due === 2n && found;
    },
    { what: 'both messages' },
  );
  const [{ oldestDueAt, ...destination }] = destinations as [(typeof destinations)[number]];
  const none = { underWay: 0n, failures: 0, backOffUntil: undefined };
  assert.deepEqual(destination, { name: 'late.test', resolved: true, due: 2n, later: 1n, suspended: 3n, tenants: 1, ...none });
  assert.ok(oldestDueAt !== undefined && oldestDueAt <= clock.now());
  assert.equal(hasMore, false);
  await using gateway = as('gateway');
  await assert.rejects(gateway.listDestinations({ limit: 1 }), { code: 'CALLER_NOT_ALLOWED' });
});
