// What is not the recipient's fault: no key, no content, a database that is away, a stop in the middle. Nothing is bounced, nothing is sent
// unsigned, nothing is lost.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BounceClass, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

describe('faults of our own', () => {
  let house: House;
  let receiver: SmtpReceiver;
  let delivery: RunningDelivery;
  const clock = new TestClock();
  const env = () => ({ MX_PORT: String(receiver.port), RETRY_SCHEDULE: '60,120', MAX_SESSIONS_PER_DESTINATION: '2' });

  before(async () => {
    house = await openHouse();
    receiver = await startSmtpReceiver();
    mxZone(house.dns, 'example.test', [['mx1', '127.0.0.1']]);
    delivery = await house.startDelivery(env(), { clock });
  });
  after(async () => {
    await delivery?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  it('defers rather than sends unsigned when no key can be had, and signs when it can', async () => {
    const id = await house.accept({ to: ['accept+key@example.test'], from: 'a@keyless.test', signingDomain: 'keyless.test' });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DEFERRED);
    assert.equal(event.bounce?.class, BounceClass.BOUNCE_CLASS_INFRASTRUCTURE);
    assert.equal(receiver.mailFor('accept+key@example.test').length, 0);
    house.makeKey('keyless.test');
    await clock.advance(60_000);
    await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['deferred', 'delivered']);
    assert.match(receiver.mailFor('accept+key@example.test')[0]?.raw.toString() ?? '', /^DKIM-Signature: .*d=keyless\.test/s);
  });

  it('asks for a key once a day', async () => {
    house.makeKey('cached.test');
    const before = house.calls.getSigningKey;
    const send = async (to: string) => {
      const id = await house.accept({ to: [to], signingDomain: 'cached.test' });
      await house.waitForOutcomes(id, 1);
      assert.deepEqual(house.outcomes(id), ['delivered']);
    };
    await send('accept+k1@example.test');
    house.signingKeys.delete('cached.test');
    await send('accept+k2@example.test');
    assert.equal(house.calls.getSigningKey, before + 1);
  });

  it('tries messaging again when it is away for a moment', async () => {
    house.contentsDown = true;
    const id = await house.accept({ to: ['accept+away@example.test'] });
    const before = house.calls.readContents;
    await waitFor(() => house.calls.readContents > before, { what: 'the first call' });
    house.contentsDown = false;
    await house.waitForOutcomes(id, 1);
    assert.deepEqual(house.outcomes(id), ['delivered']);
  });

  it('fails, and does not bounce, what has no content any more', async () => {
    const id = await house.accept({ to: ['accept+gone@example.test'], sendAt: new Date(clock.now().getTime() + 1000) });
    await waitFor(async () => (await house.due(id)).length === 1, { what: 'the due row' });
    house.contents.delete(id);
    await clock.advance(1_000);
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_FAILED);
    assert.equal(event.bounce?.class, BounceClass.BOUNCE_CLASS_INFRASTRUCTURE);
  });

  it('keeps outcomes while the database refuses them, and never sends twice for that', async () => {
    await house.database.pool.query('ALTER TABLE attempt RENAME TO attempt_away');
    const id = await house.accept({ to: ['accept+norecord@example.test'] });
    await receiver.waitForMail('accept+norecord@example.test');
    await house.logs.waitForRecord((record) => record.doing === 'record', 'a failure to record');
    assert.deepEqual(house.outcomes(id), []);
    await house.database.pool.query('ALTER TABLE attempt_away RENAME TO attempt');
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(event.possibleDuplicate, false);
    assert.equal(receiver.mailFor('accept+norecord@example.test').length, 1);
  });

  it('gives back at a stop what was not handed over, without a word in the timeline, and finishes what was', async () => {
    // One session waits for the reply to its final dot, the other one has not handed anything over; the rest waits for a session.
    const at = { dot: false, rcpt: false };
    const queue = Promise.withResolvers<void>();
    receiver.setBehaviour(async ({ stage, recipient, recipients }) => {
      if (stage === 'dot' && recipients.some((one) => one.address === 'accept+stop0@example.test')) {
        at.dot = true;
        await queue.promise;
        return { kind: 'accept', afterMs: 1_500 };
      }
      if (stage !== 'rcpt' || recipient === 'accept+stop0@example.test') return undefined;
      at.rcpt = true;
      return { kind: 'hang' };
    });
    const ids: string[] = [];
    for (let index = 0; index < 8; index++) ids.push(await house.accept({ to: [`accept+stop${index}@example.test`] }));
    const queued = async () => (await Promise.all(ids.map((id) => house.due(id)))).flat().length === 8;
    await waitFor(async () => at.dot && at.rcpt && (await queued()), { what: 'both sessions and all rows' });
    queue.resolve();
    await delivery[Symbol.asyncDispose]();
    receiver.setBehaviour(undefined);
    const left = (await Promise.all(ids.map((id) => house.due(id)))).flat();
    // The first one's outcome is on record; a sequencer that stops leaves it to the next one to tell.
    assert.equal(left.length, 7);
    assert.deepEqual(
      left.map((row) => [row.incarnation, row.attempt, row.possible_duplicate]),
      left.map(() => [null, 0, false]),
    );
    const alive = await house.database.pool.query('SELECT id FROM incarnation');
    assert.equal(alive.rowCount, 0);
    delivery = await house.startDelivery(env(), { clock });
    for (const [index, id] of ids.entries()) {
      const [event] = await house.waitForOutcomes(id, 1);
      assert.deepEqual(house.outcomes(id), ['delivered']);
      assert.equal(event?.attempt, 1);
      assert.equal(receiver.mailFor(`accept+stop${index}@example.test`).length, 1);
    }
  });
});
