// What delivery tells: statuses that only go forward, events kept once, a timeline in the receiver's words, and records that mean nothing here.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AttemptRecordedEvent, BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { type RecipientOutcome, recordOutcomes } from '../src/record-outcomes.ts';
import { createWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const { OUTCOME_DELIVERED, OUTCOME_DEFERRED, OUTCOME_BOUNCED, OUTCOME_INTERRUPTED } = Outcome;
const address = (email: string) => ({ email, name: '' });

function session(replyCode: number, enhancedCode: string, reply: string) {
  return {
    host: 'mx1.rcpt.example',
    remoteAddress: '192.0.2.1:25',
    localAddress: '192.0.2.2',
    tlsVersion: 'TLSv1.3',
    tlsPolicy: 'opportunistic',
    command: 'RCPT TO',
    replyCode,
    enhancedCode,
    reply,
  };
}

async function statusOf(id: string): Promise<[MessageStatus | undefined, ...RecipientStatus[]]> {
  const { message } = await world.get(id);
  return [message?.status, ...(message?.recipients ?? []).map((recipient) => recipient.status)];
}

async function whenStatus(id: string, expected: MessageStatus): Promise<void> {
  await waitFor(async () => (await statusOf(id))[0] === expected, { what: `message status ${expected}` });
}

/** All events told so far have been handled: those of one message are handled in order, so the last one's effect is enough. */
async function whenEvents(id: string, count: number): Promise<void> {
  await waitFor(async () => (await world.get(id)).events.length >= count, { what: `${count} events` });
}

// Whichever of the tables is read first: the other one is held until both have changed.
const waitsFor = 'SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass';
for (const table of ['recipient', 'message_event']) {
  it(`a message is shown as it stood at one moment: what an event tells, its recipient shows, also where ${table} is read late`, async () => {
    const { id } = await world.acceptOne({ to: [address('a@rcpt.example')] });
    const waiting = async () => (await world.database.pool.query(waitsFor, [table])).rowCount ?? 0;
    const event = { messageId: id, recipientNumber: 0, recipient: 'a@rcpt.example', attempt: 1, outcome: OUTCOME_DELIVERED };
    const delivered: RecipientOutcome = {
      messageId: idToUuid('msg', id)!,
      tenantId: idToUuid('ten', world.tenantId)!,
      outcome: OUTCOME_DELIVERED,
      event: AttemptRecordedEvent.fromPartial(event),
    };
    const shown = await world.database.transaction(async (client) => {
      await client.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      const looking = world.get(id);
      await waitFor(async () => (await waiting()) > 0, { what: 'the look to wait' });
      assert.deepEqual(await recordOutcomes(client, [delivered], new Date()), ['recorded']);
      return { looking };
    });
    const { message, events } = await shown.looking;
    const isDelivered = message?.recipients[0]?.status === RecipientStatus.RECIPIENT_STATUS_DELIVERED;
    const isTold = events.some(({ type }) => type === 'message.delivered');
    assert.equal(isTold, isDelivered);
  });
}

it('a message’s way: queued, deferred with the server’s words, delivered; each recipient for itself', async () => {
  const { id } = await world.acceptOne({ to: [address('a@rcpt.example'), address('b@rcpt.example')] });
  const queuedAt = new Date(Date.now() + 5);
  const at = (ms: number) => new Date(queuedAt.getTime() + ms);
  const deferral = { ...session(451, '4.7.1', 'Greylisted,\ntry later'), tlsVersion: '' };
  const bounce = {
    type: BounceType.BOUNCE_TYPE_TRANSIENT,
    class: BounceClass.BOUNCE_CLASS_POLICY,
    diagnostic: 'smtp; 451 4.7.1 Greylisted',
  };
  await world.tellAttempts({
    messageId: id,
    recipientNumber: 0,
    recipient: 'a@rcpt.example',
    attempt: 1,
    outcome: OUTCOME_DEFERRED,
    queuedAt,
    startedAt: at(10),
    finishedAt: at(20),
    nextAttemptAt: at(60_000),
    session: deferral,
    bounce,
  });
  await whenStatus(id, MessageStatus.MESSAGE_STATUS_SENDING);
  const waiting = (await world.get(id)).message?.recipients[0];
  assert.deepEqual(
    [waiting?.status, waiting?.attempts, waiting?.nextAttemptAt],
    [RecipientStatus.RECIPIENT_STATUS_DEFERRED, 1, at(60_000)],
  );
  assert.deepEqual(waiting?.bounce, bounce);

  const refusal = {
    type: BounceType.BOUNCE_TYPE_PERMANENT,
    class: BounceClass.BOUNCE_CLASS_RECIPIENT,
    diagnostic: 'smtp; 550 5.1.1 No such user',
  };
  await world.tellAttempts(
    {
      messageId: id,
      recipientNumber: 1,
      recipient: 'b@rcpt.example',
      attempt: 1,
      outcome: OUTCOME_BOUNCED,
      queuedAt,
      startedAt: at(10),
      finishedAt: at(30),
      session: session(550, '5.1.1', 'No such user'),
      bounce: refusal,
    },
    {
      messageId: id,
      recipientNumber: 0,
      recipient: 'a@rcpt.example',
      attempt: 2,
      outcome: OUTCOME_DELIVERED,
      queuedAt,
      startedAt: at(60_000),
      finishedAt: at(60_100),
      session: session(250, '2.0.0', 'Ok: queued as 1'),
      possibleDuplicate: true,
    },
  );
  await whenStatus(id, MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED);
  const { message } = await world.get(id);
  assert.deepEqual(
    message?.recipients.map((one) => [one.status, one.attempts, one.nextAttemptAt, one.bounce?.class]),
    [
      [RecipientStatus.RECIPIENT_STATUS_DELIVERED, 2, undefined, undefined],
      [RecipientStatus.RECIPIENT_STATUS_BOUNCED, 1, undefined, BounceClass.BOUNCE_CLASS_RECIPIENT],
    ],
  );

  const timeline = await world.timeline(id);
  assert.deepEqual(
    timeline.events.map((event) => event.type),
    ['message.accepted'],
  );
  assert.deepEqual(
    timeline.recipients.map(({ recipient, events }) => [
      recipient?.address?.email,
      events.map((event) => [event.type, event.at, event.recipient]),
    ]),
    [
      [
        'a@rcpt.example',
        [
          ['message.queued', queuedAt, 'a@rcpt.example'],
          ['message.deferred', at(20), 'a@rcpt.example'],
          ['message.delivered', at(60_100), 'a@rcpt.example'],
        ],
      ],
      [
        'b@rcpt.example',
        [
          ['message.queued', queuedAt, 'b@rcpt.example'],
          ['message.bounced', at(30), 'b@rcpt.example'],
        ],
      ],
    ],
  );
  assert.deepEqual(timeline.recipients[0]?.events[1]?.attempt?.session, deferral, 'the receiver’s words as they came');
  assert.equal(timeline.recipients[0]?.events[2]?.attempt?.possibleDuplicate, true);
  assert.deepEqual(
    (await world.get(id)).events.map((event) => event.type),
    ['message.accepted', 'message.queued', 'message.queued', 'message.deferred', 'message.bounced', 'message.delivered'],
  );
});

it('told twice is kept once; told late, it is kept and changes nothing', async () => {
  const { id } = await world.acceptOne();
  const common = { messageId: id, recipientNumber: 0, recipient: 'a@rcpt.example', queuedAt: new Date() };
  const first = { ...common, attempt: 1, outcome: OUTCOME_INTERRUPTED, finishedAt: new Date() };
  await world.tellAttempts(first);
  await whenStatus(id, MessageStatus.MESSAGE_STATUS_SENDING);
  await world.tellAttempts({ ...common, attempt: 3, outcome: OUTCOME_DEFERRED, finishedAt: new Date() });
  await whenStatus(id, MessageStatus.MESSAGE_STATUS_DEFERRED);
  // Late, again, and late again.
  await world.tellAttempts(
    { ...common, attempt: 2, outcome: OUTCOME_DEFERRED, finishedAt: new Date() },
    first,
    { ...common, attempt: 1, outcome: OUTCOME_BOUNCED, finishedAt: new Date() },
    { ...common, attempt: 3, outcome: OUTCOME_DEFERRED, finishedAt: new Date() },
  );
  // accepted, queued, attempt 1 interrupted, attempt 3 deferred, attempt 2 deferred, attempt 1 bounced
  await whenEvents(id, 6);
  assert.deepEqual(await statusOf(id), [MessageStatus.MESSAGE_STATUS_DEFERRED, RecipientStatus.RECIPIENT_STATUS_DEFERRED]);
  await world.tellAttempts(
    { ...common, attempt: 4, outcome: OUTCOME_DELIVERED, finishedAt: new Date() },
    { ...common, attempt: 5, outcome: OUTCOME_DEFERRED, finishedAt: new Date() },
  );
  await whenEvents(id, 8);
  assert.deepEqual(await statusOf(id), [MessageStatus.MESSAGE_STATUS_DELIVERED, RecipientStatus.RECIPIENT_STATUS_DELIVERED]);
  assert.equal((await world.get(id)).events.length, 8);
});

it('each outcome is told what it did', async () => {
  const { id } = await world.acceptOne();
  const outcome = (attempt: number, value: RecipientOutcome['outcome'], recipientNumber = 0): RecipientOutcome => ({
    messageId: idToUuid('msg', id)!,
    tenantId: idToUuid('ten', world.tenantId)!,
    outcome: value,
    event: AttemptRecordedEvent.fromPartial({ messageId: id, recipientNumber, attempt, outcome: value }),
  });
  const record = (...outcomes: RecipientOutcome[]) => world.database.transaction((client) => recordOutcomes(client, outcomes, new Date()));
  const deferred = outcome(1, OUTCOME_DEFERRED);
  assert.deepEqual(await record(deferred, deferred, outcome(1, OUTCOME_INTERRUPTED), outcome(1, OUTCOME_DEFERRED, 5)), [
    'recorded',
    'seen_before',
    'not_forward',
    'unknown_recipient',
  ]);
  assert.deepEqual(await record(deferred), ['seen_before']);
});

it('a thousand recipients in any order: the message’s status is that of the recipients', async () => {
  const to = Array.from({ length: 1000 }, (_, index) => address(`r${index}@rcpt.example`));
  const { id } = await world.acceptOne({ to });
  const events = to.map(({ email }, recipientNumber) => ({
    messageId: id,
    recipientNumber,
    recipient: email,
    attempt: 1,
    outcome: recipientNumber === 500 ? OUTCOME_BOUNCED : OUTCOME_DELIVERED,
    queuedAt: new Date(),
    finishedAt: new Date(),
  }));
  await world.tellAttempts(...events.toReversed());
  await whenStatus(id, MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED);
  const { rows } = await world.database.pool.query<{ status_counts: number[] }>('SELECT status_counts FROM message WHERE id = $1', [
    idToUuid('msg', id),
  ]);
  assert.equal(rows[0]?.status_counts[RecipientStatus.RECIPIENT_STATUS_DELIVERED], 999);
  assert.equal(
    rows[0]?.status_counts.reduce((sum, count) => sum + count),
    1000,
  );
});

describe('a record that means nothing here', () => {
  /** Handled after the strange one, being of the same key and so of the same partition. */
  async function isFollowed(id: string) {
    await world.tellAttempts({ messageId: id, recipientNumber: 0, attempt: 1, outcome: OUTCOME_DELIVERED, finishedAt: new Date() });
    await whenStatus(id, MessageStatus.MESSAGE_STATUS_DELIVERED);
  }
  const logged = (result: string) => world.logs.waitForRecord((record) => record.result === result, result);

  it('about a message that is not here is named and left', async () => {
    await world.tellAttempts({
      messageId: newId('msg'),
      recipientNumber: 0,
      attempt: 1,
      outcome: OUTCOME_DELIVERED,
      finishedAt: new Date(),
    });
    await logged('unknown_message');
  });

  it('under another tenant changes nothing', async () => {
    const { id } = await world.acceptOne();
    await world.tellAttempts({
      messageId: id,
      tenantId: newId('ten'),
      recipientNumber: 0,
      attempt: 1,
      outcome: OUTCOME_BOUNCED,
      finishedAt: new Date(),
    });
    await logged('foreign_message');
    assert.equal((await world.get(id)).events.length, 1);
    await isFollowed(id);
  });

  it('about a recipient that the message has not', async () => {
    const { id } = await world.acceptOne();
    await world.tellAttempts({ messageId: id, recipientNumber: 7, attempt: 1, outcome: OUTCOME_BOUNCED, finishedAt: new Date() });
    await logged('unknown_recipient');
    await isFollowed(id);
  });

  it('with an outcome of a newer version, or broken, is parked, and the next one is handled', async () => {
    const { id } = await world.acceptOne();
    const unknown = AttemptRecordedEvent.encode(
      AttemptRecordedEvent.fromPartial({ messageId: id, tenantId: world.tenantId, attempt: 1, outcome: OUTCOME_BOUNCED }),
    ).finish();
    // Field 6, varint: the outcome.
    const at = unknown.findIndex((byte, index) => byte === 6 << 3 && unknown[index + 1] === OUTCOME_BOUNCED);
    unknown[at + 1] = 99;
    await world.tellRaw(id, unknown);
    await world.tellRaw(id, Buffer.from([0xff, 0xff]));
    await isFollowed(id);
    const { rows } = await world.database.pool.query<{ reason: string }>(
      "SELECT reason FROM event_log.parked WHERE group_name = 'messaging' AND key = $1 ORDER BY position",
      [id],
    );
    assert.deepEqual(rows, [{ reason: 'unreadable' }, { reason: 'unreadable' }]);
  });
});
