// After the 202: another time, once more, a whole batch stopped, a look without an effect; and notices of the installation itself.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { appendOutbox } from '@maildoot/events/outbox';
import { messageAccepted } from '@maildoot/events/topics';
import { parseHeaderBlock } from '@maildoot/mail/headers';
import { linkMark } from '@maildoot/mail/tracking-token';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { DryRunRequest, MessageStatus, RecipientStatus, ResendMessageRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { GetStatsRequest } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { clearOfMidnight, waitFor } from '@maildoot/testkit/wait';
import { everything } from './feed-load.ts';
import { createWorld, hashOf, outgoing, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.schedule.reschedule = (rescheduled) => ({ rescheduled, tooLate: [], notYet: [] });
  world.schedule.calls.length = 0;
  world.deliveryService.cancel = (numbers) => numbers;
});

const { RECIPIENT_STATUS_QUEUED: queued, RECIPIENT_STATUS_SCHEDULED: scheduled } = RecipientStatus;
const { MESSAGE_STATUS_QUEUED, MESSAGE_STATUS_SCHEDULED, MESSAGE_STATUS_SUPPRESSED } = MessageStatus;
const a = { email: 'a@rcpt.example', name: '' };
const b = { email: 'b@rcpt.example', name: '' };
const inHours = (hours: number) => new Date(Math.floor(Date.now() / 60_000) * 60_000 + hours * 3_600_000);

function tenant(): string {
  const id = newId('ten');
  world.verified.add(`${id} sender.example`);
  return id;
}

const suppress = (email: string, tenantId: string) =>
  world.suppressions.addSuppressions(
    { suppressions: [{ email, stream: '', reason: 0 }], idempotencyKey: '', requestSha256: Buffer.alloc(0) },
    { tenantId },
  );

describe('rescheduling', () => {
  const reschedule = async (id: string, sendAt: Date, tenantId = world.tenantId) =>
    (await world.gateway.rescheduleMessage({ id, sendAt }, { tenantId })).message;

  it('asks delivery, and shows the new time and statuses', async () => {
    const [one, two, three] = [inHours(1), inHours(2), inHours(3)];
    const { id } = await world.acceptOne({ to: [a, b], sendAt: one });
    const later = await reschedule(id, two);
    assert.deepEqual(world.schedule.calls, [{ messageId: id, numbers: [0, 1], sendAt: two }]);
    assert.deepEqual([later?.status, later?.sendAt], [MESSAGE_STATUS_SCHEDULED, two]);
    const nextAttempts = (of: typeof later) => of?.recipients.map(({ nextAttemptAt }) => nextAttemptAt);
    assert.deepEqual(nextAttempts(later), [two, two], 'the first attempt is fixed');
    const now = await reschedule(id, new Date());
    assert.deepEqual([now?.status, now?.recipients.map(({ status }) => status)], [MESSAGE_STATUS_QUEUED, [queued, queued]]);
    assert.deepEqual(nextAttempts(now), [undefined, undefined], 'whenever the queue comes to it');
    const again = await reschedule(id, three);
    assert.deepEqual([again?.status, again?.recipients.map(({ status }) => status)], [MESSAGE_STATUS_SCHEDULED, [scheduled, scheduled]]);
    const types = (events: { type: string }[]) => events.map(({ type }) => type);
    const told = ['message.accepted', 'message.scheduled', 'message.scheduled', 'message.scheduled'];
    assert.deepEqual(types((await world.get(id)).events), told, 'as it was accepted, and twice since');
    assert.deepEqual(types((await world.timeline(id)).events), told);
  });

  const ways: [string, { sendAt?: Date }, Date, string[]][] = [
    ['a scheduled one to a time that has passed', { sendAt: inHours(1) }, inHours(-1), ['message.accepted', 'message.scheduled']],
    ['a queued one to a later time', {}, inHours(1), ['message.accepted', 'message.scheduled']],
  ];
  for (const [what, parts, sendAt, expected] of ways) {
    it(`tells the message, its timeline and the feed the same: ${what}`, async () => {
      await clearOfMidnight();
      const own = tenant();
      const source = await world.acceptOne({ to: [a], ...parts }, {}, own);
      const id = await untoldCopy(source.id);
      await reschedule(id, sendAt, own);
      // Only now, when the message has another time.
      const accepted = MessageAcceptedEvent.fromPartial({ messageId: id, tenantId: own });
      await world.database.transaction((client) => appendOutbox(client, [{ topic: messageAccepted, event: accepted }]));
      await waitFor(() => acceptancesAreRead(source.id, id), { what: 'both acceptances to be read' });
      const outcome = { messageId: id, tenantId: own, recipientNumber: 0, attempt: 1, outcome: Outcome.OUTCOME_DELIVERED };
      await world.tellAttempts({ ...outcome, finishedAt: new Date() });
      const feed = await waitFor(
        async () => {
          const told = (await everything(world, own)).flatMap(({ messageId, event }) => (messageId === id ? [event] : []));
          return told.at(-1)?.type === 'message.delivered' ? told : undefined;
        },
        { what: 'the outcome in the feed' },
      );
      assert.deepEqual(
        feed.map((event) => event?.type),
        [...expected, 'message.delivered'],
      );
      const { events, recipients } = await world.timeline(id, own);
      assert.deepEqual([...events, ...(recipients[0]?.events ?? [])], feed);
      assert.deepEqual((await world.get(id, own)).events, feed);
      const day = new Date().toISOString().slice(0, 10);
      const { total } = await world.stats.getStats(GetStatsRequest.fromPartial({ fromDay: day, toDay: day }), { tenantId: own });
      assert.deepEqual([total?.accepted, total?.delivered], [2n, 1n], 'each counted once');
    });
  }

  /** A message as it is between its acceptance and our reading of that. */
  async function untoldCopy(id: string): Promise<string> {
    const copy = newId('msg');
    for (const [table, key] of [
      ['message', 'id'],
      ['recipient', 'message_id'],
    ])
      await world.database.pool.query(
        `INSERT INTO ${table} SELECT (jsonb_populate_record(t, jsonb_build_object('${key}', $1::uuid))).* FROM ${table} t WHERE ${key} = $2`,
        [idToUuid('msg', copy), idToUuid('msg', id)],
      );
    return copy;
  }

  async function acceptancesAreRead(...ids: string[]): Promise<boolean> {
    const { rows } = await world.database.pool.query<{ read: boolean }>(
      `SELECT bool_and(o.position <= p.position) AS read
       FROM outbox o LEFT JOIN event_log.subscription p ON p.group_name = 'messaging-feed' AND p.topic = o.topic AND p.partition = o.shard
       WHERE o.key = ANY($1)`,
      [ids],
    );
    return rows[0]?.read === true;
  }

  it('is refused when delivery moves nobody, and changes nothing then', async () => {
    const one = inHours(1);
    const { id } = await world.acceptOne({ to: [a, b], sendAt: one });
    world.schedule.reschedule = (tooLate) => ({ rescheduled: [], tooLate, notYet: [] });
    await assert.rejects(reschedule(id, inHours(2)), rpcError('MESSAGE_NOT_RESCHEDULABLE'));
    assert.deepEqual((await world.get(id)).message?.sendAt, one);
  });

  it('waits for a queue that has not heard of the message yet', async () => {
    const { id } = await world.acceptOne({ to: [a], sendAt: inHours(1) });
    const two = inHours(2);
    let asked = 0;
    world.schedule.reschedule = (numbers) =>
      ++asked < 3 ? { rescheduled: [], tooLate: [], notYet: numbers } : { rescheduled: numbers, tooLate: [], notYet: [] };
    assert.deepEqual((await reschedule(id, two))?.sendAt, two);
    assert.equal(asked, 3);
  });

  it('is for the tenant’s own messages, at most 30 days ahead, and not while delivery is down', async () => {
    const one = inHours(1);
    const { id } = await world.acceptOne({ to: [a], sendAt: one });
    await assert.rejects(reschedule(id, inHours(2), newId('ten')), rpcError('NOT_FOUND'));
    await assert.rejects(reschedule(id, inHours(24 * 31)), rpcError('VALIDATION_ERROR'));
    world.deliveryService.down = true;
    try {
      await assert.rejects(reschedule(id, inHours(2)), rpcError('UNAVAILABLE'));
    } finally {
      world.deliveryService.down = false;
    }
    assert.deepEqual((await world.get(id)).message?.sendAt, one);
  });
});

describe('cancelling a batch', () => {
  it('stops every message of it, and of no other; what is too late is told', async () => {
    const batchId = newId('bat');
    const { results } = await world.accept([{ to: [a, b] }, { to: [a] }, { to: [b] }], { batchId });
    const ids = results.map(({ result }) => (result?.$case === 'accepted' ? result.value.id : ''));
    const other = await world.acceptOne({ to: [a, b] }, { batchId: newId('bat') });
    world.deliveryService.calls.length = 0;
    world.deliveryService.cancel = (numbers) => (numbers.length === 2 ? [1] : numbers);
    const cancel = (tenantId = world.tenantId) => world.gateway.cancelBatch({ batchId }, { tenantId });
    const { messages } = await cancel();
    assert.deepEqual(
      messages.map(({ id, cancelled, recipients }) => [id, cancelled, recipients]),
      [
        [ids[0], 1, 2],
        [ids[1], 1, 1],
        [ids[2], 1, 1],
      ],
    );
    assert.deepEqual(world.deliveryService.calls.map(({ messageId }) => messageId).sort(), [...ids].sort());
    assert.equal((await world.get(other.id)).message?.status, MESSAGE_STATUS_QUEUED);
    world.deliveryService.cancel = () => [];
    assert.deepEqual((await cancel()).messages, messages, 'asked again');
    await assert.rejects(cancel(newId('ten')), rpcError('NOT_FOUND'));
    await assert.rejects(world.gateway.cancelBatch({ batchId: newId('bat') }, { tenantId: world.tenantId }), rpcError('NOT_FOUND'));
  });
});

describe('sending again', () => {
  const resend = (id: string, more: object = {}, tenantId = world.tenantId) =>
    world.gateway.resendMessage(ResendMessageRequest.fromPartial({ id, newId: newId('msg'), ...more }), { tenantId });

  it('is a new message: the same recipients and body, an id, a date and links of its own', async () => {
    const first = await world.acceptOne({
      to: [a],
      bcc: [b],
      subject: 'Grüße',
      html: '<a href="https://shop.example/">x</a>',
      trackClicks: true,
      unsubscribe: { group: 'weekly' },
      tags: ['t'],
      metadata: { order: '7' },
      stream: 'broadcast',
    });
    const { accepted } = await resend(first.id);
    assert.ok(accepted !== undefined && accepted.id !== first.id);
    const { message } = await world.get(accepted.id);
    const { message: before } = await world.get(first.id);
    for (const field of ['subject', 'tags', 'metadata', 'stream', 'from', 'trackClicks'] as const)
      assert.deepEqual(message?.[field], before?.[field], field);
    const recipients = (of: typeof message) => of?.recipients.map(({ address, kind, status }) => [address?.email, kind, status]);
    assert.deepEqual(recipients(message), recipients(before));

    const [old, fresh] = await Promise.all([world.content(first.id), world.content(accepted.id)]);
    const header = (mime: Buffer, name: string) => parseHeaderBlock(mime).fields.find((field) => field.name.toLowerCase() === name)?.value;
    assert.equal(header(fresh, 'message-id'), `<${accepted.id}@sender.example>`);
    assert.equal(header(fresh, 'subject'), header(old, 'subject'));
    const marks = (mime: Buffer, id: string) =>
      mime
        .toString('latin1')
        .replaceAll('=\r\n', '')
        .split(linkMark('click', idToUuid('msg', id)!)).length - 1;
    assert.deepEqual([marks(fresh, accepted.id), marks(fresh, first.id), marks(old, first.id)], [1, 0, 1]);
    assert.ok(header(fresh, 'list-unsubscribe')?.includes(linkMark('unsubscribe', idToUuid('msg', accepted.id)!)));
    assert.equal((await world.outboxOf(accepted.id))[0]?.personal, true);
  });

  it('checks everything again: whose it is, the sender, the list', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ to: [a] }, {}, own);
    await assert.rejects(resend(id, {}, newId('ten')), rpcError('NOT_FOUND'));
    await assert.rejects(resend(id, { allowedDomains: ['other.example'] }, own), rpcError('SENDER_NOT_ALLOWED'));
    await suppress(a.email, own);
    assert.equal((await resend(id, {}, own)).accepted?.status, MESSAGE_STATUS_SUPPRESSED);
  });

  it('replays under an idempotency key', async () => {
    const { id } = await world.acceptOne({ to: [a] });
    const key = { idempotencyKey: newId('req'), requestSha256: hashOf(id) };
    const first = await resend(id, key);
    const second = await resend(id, key);
    assert.deepEqual([first.replayed, second.replayed, second.accepted?.id], [false, true, first.accepted?.id]);
  });
});

describe('a dry run', () => {
  it('shows what would be kept, and keeps nothing', async () => {
    const own = tenant();
    await suppress('B@rcpt.example', own);
    const message = outgoing({ to: [a, b], unsubscribe: {} });
    const run = (request: object) =>
      world.gateway.dryRun(DryRunRequest.fromPartial({ linkUrl: 'https://links.example', ...request }), { tenantId: own });
    const looked = await run({ message });
    assert.equal(looked.error, undefined);
    assert.match(
      looked.mime.toString(),
      /^List-Unsubscribe: <https:\/\/links\.example\/u\/[\w-]{38}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFrom: /,
    );
    assert.equal(looked.sizeBytes, BigInt(looked.mime.length));
    const { recipients, signingDomain, suppressed } = looked;
    assert.deepEqual(
      [recipients, signingDomain, suppressed],
      [2, 'sender.example', [{ email: b.email, stream: 'transactional', reason: 'manual' }]],
    );
    assert.deepEqual((await world.list({}, own)).messages, []);
    const refused = await run({ message: outgoing({ from: { email: 'a@unverified.example', name: '' } }) });
    assert.deepEqual([refused.error?.code, refused.mime.length], ['DOMAIN_NOT_VERIFIED', 0]);
    assert.equal((await run({ message, linkUrl: '' })).error?.issues[0]?.code, 'no_link_url');
  });
});

describe('a test key', () => {
  it('has any From accepted, and its mail captured', async () => {
    const accepted = await world.acceptOne({ from: { email: 'any@unverified.example', name: '' }, test: true });
    assert.equal(accepted.captured, true);
    assert.deepEqual(
      accepted.warnings.map(({ code }) => code),
      ['DOMAIN_NOT_VERIFIED'],
    );
    const [event] = await world.outboxOf(accepted.id);
    assert.deepEqual([event?.captured, event?.signingDomain], [true, '']);
    assert.equal((await world.get(accepted.id)).message?.captured, true);
  });
});

describe('a notice', () => {
  it('is a message of the installation’s own tenant, once per key', async () => {
    const notice = { kind: 'password_reset', to: 'ada@rcpt.example', subject: 'Reset', text: 'https://x.example/', idempotencyKey: 'one' };
    const first = await world.notices.sendNotice(notice, {});
    assert.equal((await world.notices.sendNotice(notice, {})).messageId, first.messageId);
    const [event] = await world.outboxOf(first.messageId);
    assert.deepEqual(
      event?.recipients.map(({ address }) => address),
      ['ada@rcpt.example'],
    );
    assert.equal(event?.captured, false);
    await assert.rejects(world.get(first.messageId), rpcError('NOT_FOUND'));
    await assert.rejects(world.notices.sendNotice({ ...notice, to: 'nobody', idempotencyKey: '' }, {}), rpcError('VALIDATION_ERROR'));
  });
});
