// Lists: newest first, pages that neither skip nor repeat, every filter, and a look-back that is bounded and says how far it came.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newId, newUuid, uuidTime, uuidToId } from '@maildoot/runtime/ids';
import { TestClock } from '@maildoot/testkit/clock';
import { waitFor } from '@maildoot/testkit/wait';
import { insertAttempts } from '../src/store/callback-work.ts';
import { attemptsOfMessage } from '../src/store/callbacks.ts';
import { lookBackRows } from '../src/store/messages.ts';
import { createWorld, rpcError, type World } from './world.ts';

let world: World;
const clock = new TestClock();
before(async () => {
  world = await createWorld({ clock });
});
after(() => world[Symbol.asyncDispose]());

/** A tenant of its own for each test, that may send. */
function tenant(): string {
  const id = newId('ten');
  for (const domain of ['sender.example', 'second.example']) world.verified.add(`${id} ${domain}`);
  return id;
}

const ids = (list: { messages: { id: string }[] }) => list.messages.map((message) => message.id);
const address = (email: string, name = '') => ({ email, name });

describe('pages', () => {
  it('come newest first, each message once, though others arrive meanwhile', async () => {
    const own = tenant();
    const sent: string[] = [];
    for (let count = 0; count < 7; count++) sent.push((await world.acceptOne({}, {}, own)).id);
    const first = await world.list({ limit: 3 }, own);
    await world.acceptOne({}, {}, own);
    const second = await world.list({ limit: 3, afterId: first.nextAfterId }, own);
    const third = await world.list({ limit: 3, afterId: second.nextAfterId }, own);
    assert.deepEqual([...ids(first), ...ids(second), ...ids(third)], sent.toReversed());
    assert.equal(third.nextAfterId, '');
    assert.equal(first.searchedBackTo, undefined, 'a list without filters is not a search');
  });

  it('have 20 messages unless asked otherwise, and 100 at most', async () => {
    const own = tenant();
    await world.accept(
      Array.from({ length: 120 }, () => ({})),
      {},
      own,
    );
    assert.equal((await world.list({}, own)).messages.length, 20);
    assert.equal((await world.list({ limit: 1000 }, own)).messages.length, 100);
  });

  it('carry each message’s recipients', async () => {
    const own = tenant();
    await world.acceptOne({ to: [address('a@rcpt.example')], bcc: [address('b@rcpt.example')] }, {}, own);
    await world.acceptOne({ to: [address('c@rcpt.example')] }, {}, own);
    assert.deepEqual(
      (await world.list({}, own)).messages.map((message) => message.recipients.map((one) => one.address?.email)),
      [['c@rcpt.example'], ['a@rcpt.example', 'b@rcpt.example']],
    );
  });

  it('behind what is no id are refused', async () => {
    await assert.rejects(world.list({ afterId: 'msg_x' }), rpcError('VALIDATION_ERROR'));
    await assert.rejects(world.list({ batchId: newId('msg') }), rpcError('VALIDATION_ERROR'));
  });
});

describe('filters', () => {
  let own: string;
  const batchId = newId('bat');
  const sent: Record<string, string> = {};
  before(async () => {
    own = tenant();
    const accept = async (name: string, message: Parameters<World['acceptOne']>[0], request = {}) => {
      sent[name] = (await world.acceptOne(message, request, own)).id;
    };
    await accept('plain', { subject: 'A plain one' });
    await accept('second', { from: address('Shop@second.example'), subject: '100%_sure' });
    await accept('cc', { cc: [address('boss@rcpt.example')] });
    await accept('beyond ASCII', { to: [address('jörg@rcpt.example')] });
    await accept('bcc', { bcc: [address('boss@rcpt.example')] });
    await accept('tagged', { tags: ['welcome', 'de'], metadata: { order: '17', shop: 'x' } });
    await accept('batch', {}, { batchId });
    await accept('scheduled', { sendAt: new Date(clock.now().getTime() + 3_600_000) });
    await accept('delivered', {});
    await world.tellAttempts({
      messageId: sent.delivered!,
      tenantId: own,
      recipientNumber: 0,
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      finishedAt: new Date(),
    });
    await waitFor(async () => (await world.get(sent.delivered!, own)).message?.status === MessageStatus.MESSAGE_STATUS_DELIVERED, {
      what: 'delivery',
    });
  });

  const createdAt = (name: string) => uuidTime(idToUuid('msg', sent[name]!)!);
  const table: [string, () => Parameters<World['list']>[0], string[]][] = [
    ['from', () => ({ from: 'Shop@SECOND.example' }), ['second']],
    ['to, in Cc and Bcc too', () => ({ to: 'boss@rcpt.example' }), ['bcc', 'cc']],
    ['to beyond ASCII, in another form of it', () => ({ to: 'jo\u0308rg@RCPT.example' }), ['beyond ASCII']],
    ['to that nobody is', () => ({ to: 'nobody' }), []],
    ['subject, a part of it in any case', () => ({ subject: 'PLAIN' }), ['plain']],
    ['subject, taken literally', () => ({ subject: '0%_s' }), ['second']],
    ['tag', () => ({ tag: 'de' }), ['tagged']],
    ['tag, not a part of one', () => ({ tag: 'd' }), []],
    ['metadata, all of it', () => ({ metadata: { order: '17', shop: 'x' } }), ['tagged']],
    ['metadata that differs', () => ({ metadata: { order: '18' } }), []],
    ['domain', () => ({ domain: 'second.example' }), ['second']],
    ['domain, not the end of one', () => ({ domain: 'cond.example' }), []],
    ['batch', () => ({ batchId }), ['batch']],
    ['status', () => ({ status: MessageStatus.MESSAGE_STATUS_DELIVERED }), ['delivered']],
    ['status scheduled', () => ({ status: MessageStatus.MESSAGE_STATUS_SCHEDULED }), ['scheduled']],
    ['created_after, exclusive', () => ({ createdAfter: createdAt('scheduled'), status: 0 }), ['delivered']],
    ['created_before, exclusive', () => ({ createdBefore: createdAt('second') }), ['plain']],
    ['two at a time', () => ({ to: 'boss@rcpt.example', createdAfter: createdAt('cc') }), ['bcc']],
  ];
  for (const [reason, filter, expected] of table) {
    it(reason, async () => {
      // Two messages may share a millisecond; none of these did, or the bounds would prove nothing.
      assert.equal(new Set(Object.keys(sent).map((name) => createdAt(name).getTime())).size, Object.keys(sent).length);
      assert.deepEqual(
        ids(await world.list(filter(), own)),
        expected.map((name) => sent[name]),
      );
    });
  }

  it('a scheduled message is queued from the moment it is due', async () => {
    const scheduled = sent.scheduled!;
    assert.equal((await world.get(scheduled, own)).message?.status, MessageStatus.MESSAGE_STATUS_SCHEDULED);
    await clock.advance(3_600_000);
    assert.equal((await world.get(scheduled, own)).message?.status, MessageStatus.MESSAGE_STATUS_QUEUED);
    assert.deepEqual(ids(await world.list({ status: MessageStatus.MESSAGE_STATUS_SCHEDULED }, own)), []);
    assert.ok(ids(await world.list({ status: MessageStatus.MESSAGE_STATUS_QUEUED }, own)).includes(scheduled));
  });
});

describe('the look-back of a filtered list', () => {
  it('ends after so many rows, says how far it came, and goes on from there', async () => {
    const own = tenant();
    const needle = await world.acceptOne({ subject: 'the needle' }, {}, own);
    // Rows as accepting writes them, without the content that no list reads.
    const hay = Array.from({ length: lookBackRows }, () => newUuid());
    await world.database.pool.query(
      `INSERT INTO message (id, tenant_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, size_bytes, captured)
       SELECT id, $2, 2, '{0,0,1,0,0,0,0,0,0,0}', 'a@b.example', '', '[]', 'hay', '[]', '{}', 1, false FROM unnest($1::uuid[]) AS id`,
      [hay, idToUuid('ten', own)],
    );
    const first = await world.list({ subject: 'needle' }, own);
    assert.deepEqual(first.messages, []);
    assert.equal(first.nextAfterId, uuidToId('msg', hay[0]!));
    assert.deepEqual(first.searchedBackTo, uuidTime(hay[0]!));
    const second = await world.list({ subject: 'needle', afterId: first.nextAfterId }, own);
    assert.deepEqual(ids(second), [needle.id]);
    assert.equal(second.nextAfterId, '');
    assert.equal(second.searchedBackTo, undefined);
    // A page that is full before the bound says where it ended.
    const full = await world.list({ subject: 'hay', limit: 2 }, own);
    assert.deepEqual(
      ids(full),
      hay
        .slice(-2)
        .toReversed()
        .map((id) => uuidToId('msg', id)),
    );
    assert.deepEqual(full.searchedBackTo, uuidTime(hay.at(-2)!));
  });
});

it('what callbacks were told of a message comes in pages, and the first leaves no recipient out', async () => {
  const [tenantId, messageId, callbackId] = [newUuid(), newUuid(), newUuid()];
  const told = async (recipientNumber: number, number: number) => {
    const ids = { id: newUuid(), callbackId, tenantId, eventId: newUuid(), aboutId: messageId };
    const answer = { at: new Date(), durationMs: 1, outcome: 1, httpStatus: 204, detail: '', nextAttemptAt: null };
    await insertAttempts(world.database.pool, [{ ...ids, recipientNumber, type: 'message.queued', number, ...answer }]);
  };
  for (const number of [1, 2, 3]) await told(0, number);
  await told(1, 1);
  const shown = async (most?: number, afterId?: string) => {
    const page = { afterId, ...(most !== undefined && { most }) };
    const { attempts, nextAfterId } = await attemptsOfMessage(world.database.pool, tenantId, messageId, page);
    return { of: attempts.map((one) => [one.recipientNumber, one.number]), nextAfterId };
  };
  const [first, second, third, other] = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 1],
  ];
  assert.deepEqual(await shown(), { of: [first, second, third, other], nextAfterId: undefined });
  assert.deepEqual(await shown(4), { of: [first, second, third, other], nextAfterId: undefined });
  const begun = await shown(3);
  assert.deepEqual(begun.of, [first, second, other]);
  // What comes meanwhile comes behind, and nothing twice.
  await told(1, 2);
  const two = await shown(1, begun.nextAfterId);
  assert.deepEqual(two.of, [[1, 2]]);
  assert.deepEqual(await shown(1, two.nextAfterId), { of: [third], nextAfterId: undefined });
});
