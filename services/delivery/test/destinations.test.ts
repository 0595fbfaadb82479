// What the operator is told of what waits, by destination.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DestinationServiceService } from '@maildoot/proto/maildoot/delivery/v1/destination';
import { createRpcClient } from '@maildoot/rpc/client';
import { newId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { mxZone, openHouse, rpcSecret } from './delivery.ts';

it('the operator sees what waits for whom, and nobody else', async () => {
  await using house = await openHouse();
  mxZone(house.dns, 'late.test', [['mx', '127.0.0.1']]);
  const clock = new TestClock();
  const inAnHour = new Date(clock.now().getTime() + 3_600_000);
  const delivery = await house.startDelivery({}, { clock });
  const [id, later, tenantId] = [newId('msg'), newId('msg'), newId('ten')];
  await house.suspend(tenantId);
  await house.accept({ id, to: ['one@late.test', 'two@late.test'], tenantId });
  await house.accept({ id: later, to: ['later@late.test'], tenantId, sendAt: inAnHour });
  const as = (self: string) =>
    createRpcClient(DestinationServiceService, { address: delivery.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 10_000 });
  await using operator = as('standalone');
  const { destinations, hasMore } = await waitFor(
    async () => {
      const found = await operator.listDestinations({ limit: 1 });
      const [first] = found.destinations;
      return first?.resolved && first.later === 1n && first.due === 2n && found;
    },
    { what: 'both messages, at a destination that is known' },
  );
  const [{ oldestDueAt, ...destination }] = destinations as [(typeof destinations)[number]];
  const none = { underWay: 0n, failures: 0, backOffUntil: undefined };
  assert.deepEqual(destination, { name: 'late.test', resolved: true, due: 2n, later: 1n, suspended: 3n, tenants: 1, ...none });
  assert.ok(oldestDueAt !== undefined && oldestDueAt <= clock.now());
  assert.equal(hasMore, false);
  await using gateway = as('gateway');
  await assert.rejects(gateway.listDestinations({ limit: 1 }), { code: 'CALLER_NOT_ALLOWED' });
});
