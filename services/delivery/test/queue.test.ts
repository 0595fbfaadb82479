// What the queue guarantees: enqueued once, attempts written down before they are made, one owner at a time, cancelled means never sent.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { idToUuid, newId, newUuid } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { endOf } from '../src/outcome.ts';
import { type AttemptEnd, recordEnds } from '../src/store/attempt.ts';
import { claim, type DueRow, Rotation } from '../src/store/due.ts';
import { registerIncarnation } from '../src/store/incarnation.ts';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

describe('the queue', () => {
  let house: House;
  let receiver: SmtpReceiver;
  let delivery: RunningDelivery;
  const clock = new TestClock();
  const env = () => ({ MX_PORT: String(receiver.port), RETRY_SCHEDULE: '60,120' });

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

  it('enqueues an event that comes again only once, also after the recipient was delivered to', async () => {
    const id = await house.accept({ to: ['accept+once@example.test'] });
    await house.acceptAgain(id);
    await house.waitForOutcomes(id, 1);
    await house.acceptAgain(id);
    await marker();
    assert.deepEqual(house.outcomes(id), ['delivered']);
    assert.equal(receiver.mailFor('accept+once@example.test').length, 1);
  });

  it('writes the attempt down before it is made', async () => {
    let atRcpt: Record<string, unknown>[] = [];
    receiver.setBehaviour(async ({ stage, recipient }) => {
      if (stage === 'rcpt' && recipient === 'accept+written@example.test') atRcpt = await house.due(id);
      return undefined;
    });
    const id = newId('msg');
    await house.accept({ id, to: ['accept+written@example.test'] });
    await house.waitForOutcomes(id, 1);
    receiver.setBehaviour(undefined);
    assert.equal(atRcpt.length, 1);
    assert.equal(atRcpt[0]?.attempt, 1);
    assert.ok(atRcpt[0]?.incarnation);
  });

  it('frees the rows of a pod that died, says so, and marks what follows', async () => {
    const id = await house.accept({ to: ['defer-1+dead@example.test'] });
    await house.waitForOutcomes(id, 1);
    // A pod that claimed the row for its second attempt and has not been heard of for ten seconds.
    const dead = await deadPod('11 seconds');
    await hold(id, dead, 2);
    const events = await house.waitForOutcomes(id, 3);
    assert.deepEqual(house.outcomes(id), ['deferred', 'interrupted', 'delivered']);
    assert.equal(events[1]?.attempt, 2);
    assert.equal(events[1]?.possibleDuplicate, true);
    assert.ok(events[1]?.startedAt);
    assert.equal(events[2]?.attempt, 3);
    assert.equal(events[2]?.possibleDuplicate, true);
    const incarnations = await house.database.pool.query('SELECT id FROM incarnation WHERE id = $1', [dead]);
    assert.equal(incarnations.rowCount, 0);
  });

  it('leaves the rows of a pod alone that is silent for less than ten seconds', async () => {
    const id = await house.accept({ to: ['defer-1+slow@example.test'] });
    await house.waitForOutcomes(id, 1);
    const silent = await deadPod('6 seconds');
    await hold(id, silent, 2);
    // For as long as it takes to find out.
    const age = setInterval(() => void silence(silent, '6 seconds'), 200);
    // The job that frees rows has looked at least once when a dead pod's row beside it is free.
    const other = await house.accept({ to: ['defer-1+other@example.test'] });
    await house.waitForOutcomes(other, 1);
    await hold(other, await deadPod('11 seconds'), 2);
    await house.waitForOutcomes(other, 2).finally(() => clearInterval(age));
    assert.equal((await house.due(id))[0]?.incarnation, silent);
    assert.deepEqual(house.outcomes(id), ['deferred']);
    await silence(silent, '11 seconds');
    await house.waitForOutcomes(id, 3);
  });

  it('keeps an outcome that comes after others took over, and changes nothing in the queue', async () => {
    const id = await house.accept({ to: ['defer-1+late@example.test'] });
    await house.waitForOutcomes(id, 1);
    // Two pods of which this service is neither: the first was declared dead, the second holds the row.
    const [first, second] = [newUuid(), newUuid()];
    await registerIncarnation(house.database, second);
    await hold(id, second, 3);
    const [row] = await house.due(id);
    const late = delivered(id, { incarnation: first, attempt: 2, address: String(row?.address) });
    assert.deepEqual(await recordEnds(house.database, [late]), ['late']);
    const events = await house.waitForOutcomes(id, 2);
    assert.equal(events[1]?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(events[1]?.possibleDuplicate, true);
    const [after] = await house.due(id);
    assert.equal(after?.incarnation, second);
    assert.equal(after?.attempt, 3);
    // The same outcome with another attempt's number, from the right pod.
    assert.deepEqual(await recordEnds(house.database, [delivered(id, { incarnation: second, attempt: 2, address: 'x@example.test' })]), [
      'late',
    ]);
    assert.equal((await house.due(id)).length, 1);
    // The answer to a COMMIT was lost, so it is recorded once more: nothing happens.
    assert.deepEqual(await recordEnds(house.database, [late]), ['again']);
    const right = delivered(id, { incarnation: second, attempt: 3, address: 'x@example.test' });
    assert.deepEqual(await recordEnds(house.database, [right]), ['recorded']);
    assert.deepEqual(await recordEnds(house.database, [right]), ['again']);
    assert.deepEqual(await house.due(id), []);
    await house.waitForOutcomes(id, 4);
    await marker();
    assert.equal(house.outcomes(id).length, 4);
  });

  it('gives back rows that it holds without knowing, and does not count the attempt', async () => {
    const id = await house.accept({ to: ['defer-1+lost@example.test'] });
    await house.waitForOutcomes(id, 1);
    const own = await house.database.pool.query<{ id: string }>(
      "SELECT id FROM incarnation WHERE heartbeat_at > now() - interval '9 seconds' ORDER BY started_at",
    );
    const mine = own.rows[0]?.id;
    assert.ok(mine);
    await hold(id, mine, 2, "now() - interval '1 minute'");
    await waitFor(async () => (await house.due(id))[0]?.incarnation === null, { what: 'the row to be free' });
    assert.equal((await house.due(id))[0]?.attempt, 1);
    await clock.advance(60_000);
    const events = await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['deferred', 'delivered']);
    assert.equal(events[1]?.attempt, 2);
    assert.equal(events[1]?.possibleDuplicate, false);
  });

  it('claims nothing for an incarnation that was declared dead', async () => {
    // So that the domain has its route, and the row can be claimed by who may.
    await marker();
    const id = await house.accept({ to: ['accept+never@example.test'], sendAt: new Date(clock.now().getTime() + 600_000) });
    await waitFor(async () => (await house.due(id)).length === 1, { what: 'the due row' });
    const take = (incarnation: string): Promise<DueRow[]> =>
      claim(house.database, {
        incarnation,
        now: new Date(clock.now().getTime() + 700_000),
        full: [],
        rotation: new Rotation(),
        share: (pairs) => pairs.map((pair) => ({ ...pair, take: 10 })),
      });
    const dead = await deadPod('9 seconds');
    await house.database.pool.query('DELETE FROM incarnation WHERE id = $1', [dead]);
    assert.deepEqual(await take(dead), []);
    assert.equal((await house.due(id))[0]?.attempt, 0);
    const living = newUuid();
    await registerIncarnation(house.database, living);
    assert.deepEqual(
      (await take(living)).map((row) => [row.messageId, row.attempt]),
      [[idToUuid('msg', id), 1]],
    );
  });

  describe('cancel', () => {
    it('stops what waits, whether enqueued or not, for good, and says so', async () => {
      const id = await house.accept({
        to: ['accept+c1@example.test', 'accept+c2@example.test'],
        sendAt: new Date(clock.now().getTime() + 60_000),
      });
      await waitFor(async () => (await house.due(id)).length === 2, { what: 'the due rows' });
      assert.deepEqual(await cancel(id, [0]), { cancelled: [0], tooLate: [] });
      const [event] = await house.waitForOutcomes(id, 1);
      assert.equal(event?.outcome, Outcome.OUTCOME_CANCELLED);
      assert.equal(event.recipient, 'accept+c1@example.test');
      assert.equal(event.attempt, 0);
      assert.deepEqual(await cancel(id, [0, 1]), { cancelled: [0, 1], tooLate: [] });
      const notYet = newId('msg');
      assert.deepEqual(await cancel(notYet, [0, 1]), { cancelled: [0, 1], tooLate: [] });
      await house.accept({ id: notYet, to: ['accept+c3@example.test', 'accept+c4@example.test'] });
      await marker();
      await clock.advance(61_000);
      await marker();
      assert.deepEqual(house.outcomes(id), ['cancelled', 'cancelled']);
      assert.deepEqual(house.outcomes(notYet), ['cancelled', 'cancelled']);
      for (const name of ['c1', 'c2', 'c3', 'c4']) assert.equal(receiver.mailFor(`accept+${name}@example.test`).length, 0);
    });

    it('is too late for what an attempt holds or what is final, and leaves that alone', async () => {
      let answer: unknown;
      receiver.setBehaviour(async ({ stage, recipient }) => {
        if (stage === 'rcpt' && recipient === 'accept+held@example.test') answer ??= await cancel(id, [0]);
        return undefined;
      });
      const id = newId('msg');
      await house.accept({ id, to: ['accept+held@example.test'] });
      await house.waitForOutcomes(id, 1);
      receiver.setBehaviour(undefined);
      assert.deepEqual(answer, { cancelled: [], tooLate: [0] });
      assert.deepEqual(await cancel(id, [0]), { cancelled: [], tooLate: [0] });
      await marker();
      assert.deepEqual(house.outcomes(id), ['delivered']);
    });

    it('answers the same when asked again and publishes nothing more', async () => {
      const id = await house.accept({ to: ['defer+again@example.test'] });
      await house.waitForOutcomes(id, 1);
      assert.deepEqual(await cancel(id, [0]), { cancelled: [0], tooLate: [] });
      const events = await house.waitForOutcomes(id, 2);
      assert.equal(events[1]?.attempt, 1);
      assert.deepEqual(await cancel(id, [0]), { cancelled: [0], tooLate: [] });
      await marker();
      assert.deepEqual(house.outcomes(id), ['deferred', 'cancelled']);
    });

    it('races with claims: whatever wins, a cancelled recipient is not sent to', async () => {
      const ids = await Promise.all(Array.from({ length: 30 }, (_, index) => house.accept({ to: [`accept+race${index}@example.test`] })));
      const answers = await Promise.all(ids.map((id) => cancel(id, [0])));
      for (const [index, id] of ids.entries()) {
        await house.waitForOutcomes(id, 1);
        const was = answers[index]?.cancelled.length === 1;
        assert.deepEqual(house.outcomes(id), [was ? 'cancelled' : 'delivered']);
        assert.equal(receiver.mailFor(`accept+race${index}@example.test`).length, was ? 0 : 1);
      }
    });

    it('does nothing for another tenant', async () => {
      const id = await house.accept({ to: ['accept+mine@example.test'], sendAt: new Date(clock.now().getTime() + 60_000) });
      await waitFor(async () => (await house.due(id)).length === 1, { what: 'the due row' });
      assert.deepEqual(await cancel(id, [0], newId('ten')), { cancelled: [], tooLate: [0] });
      assert.equal((await house.due(id)).length, 1);
    });
  });

  it('two pods share the work and send everything once', async () => {
    await using second = await house.startDelivery(env(), { clock });
    assert.ok(second);
    const ids = await house.acceptAll(Array.from({ length: 60 }, (_, index) => ({ to: [`accept+pair${index}@example.test`] })));
    for (const id of ids) await house.waitForOutcomes(id, 1);
    for (const [index, id] of ids.entries()) {
      assert.deepEqual(house.outcomes(id), ['delivered']);
      assert.equal(receiver.mailFor(`accept+pair${index}@example.test`).length, 1);
    }
  });

  it('parks an event whose message is older than the ledger', async () => {
    const id = oldMessageId();
    await house.accept({ id, to: ['accept+old@example.test'] });
    const after = await house.accept({ to: ['accept+after@example.test'] });
    await house.waitForOutcomes(after, 1);
    await house.logs.waitForRecord((record) => record.msg === 'events: a record was parked', 'the parked record');
    assert.equal(receiver.mailFor('accept+old@example.test').length, 0);
  });

  /** Everything published before is enqueued and attempted when this one is delivered: same partition order is not given, so one per partition. */
  async function marker(): Promise<void> {
    const ids = await Promise.all(Array.from({ length: 16 }, () => house.accept({ to: [`accept+${randomUUID()}@example.test`] })));
    for (const id of ids) await house.waitForOutcomes(id, 1);
  }

  async function cancel(
    messageId: string,
    recipientNumbers: number[],
    tenantId = house.tenantId,
  ): Promise<{ cancelled: number[]; tooLate: number[] }> {
    const { cancelled, tooLate } = await delivery.rpc.cancelRecipients({ messageId, recipientNumbers }, { tenantId });
    return { cancelled, tooLate };
  }

  async function deadPod(age: string): Promise<string> {
    const id = newUuid();
    await house.database.pool.query(`INSERT INTO incarnation (id, heartbeat_at) VALUES ($1, now() + interval '1 hour')`, [id]);
    silentFor.set(id, age);
    return id;
  }

  /** Makes a waiting row the property of an incarnation, which from then on has been silent for its time. */
  async function hold(messageId: string, incarnation: string, attempt: number, claimedAt = 'now()'): Promise<void> {
    const held = await house.database.pool.query(
      `UPDATE due SET incarnation = $2, attempt = $3, claims = $3, claimed_at = ${claimedAt} WHERE message_id = $1 AND incarnation IS NULL`,
      [idToUuid('msg', messageId), incarnation, attempt],
    );
    assert.equal(held.rowCount, 1);
    const age = silentFor.get(incarnation);
    if (age !== undefined) await silence(incarnation, age);
  }

  async function silence(incarnation: string, age: string): Promise<void> {
    await house.database.pool.query('UPDATE incarnation SET heartbeat_at = now() - $2::interval WHERE id = $1', [incarnation, age]);
  }

  function delivered(
    messageId: string,
    { incarnation, attempt, address }: { incarnation: string; attempt: number; address: string },
  ): AttemptEnd {
    const row: DueRow = {
      messageId: idToUuid('msg', messageId) ?? '',
      recipientNumber: 0,
      tenantId: idToUuid('ten', house.tenantId) ?? '',
      address,
      domain: 'example.test',
      destination: 'example.test',
      mailFrom: 'a@b.test',
      signingDomain: '',
      captured: false,
      personal: false,
      listed: false,
      sizeBytes: 1,
      attempt,
      claims: attempt,
      incarnation,
      possibleDuplicate: false,
      queuedAt: clock.now(),
      dueAt: clock.now(),
      claimedAt: clock.now(),
      traceparent: undefined,
    };
    const reply = { code: 250, severity: 'positive' as const, enhancedCode: '2.0.0', lines: ['ok'], verbatim: '250 2.0.0 ok' };
    const answer = { kind: 'accepted' as const, reply };
    const times = { startedAt: clock.now(), finishedAt: clock.now() };
    return endOf({ row, answer, facts: undefined, earlier: [], ...times, destination: 'example.test', traceparent: undefined }, [60]);
  }

  const silentFor = new Map<string, string>();
});

/** An id of a year ago. */
function oldMessageId(): string {
  const id = newId('msg');
  // The time is in the first ten characters; the fourth one is worth a year and more.
  const digits = '0123456789abcdefghjkmnpqrstvwxyz';
  const at = 'msg_'.length + 2;
  const earlier = digits[Math.max(0, digits.indexOf(id[at] ?? '0') - 1)];
  return id.slice(0, at) + earlier + id.slice(at + 1);
}
