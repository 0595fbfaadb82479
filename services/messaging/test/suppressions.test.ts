// The list of those who are not written to: who is on it gets nothing, per stream; what puts people on it, and what never does.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { addressSuppressed } from '@maildoot/events/topics';
import { BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { AddressSuppressedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import {
  AddSuppressionsRequest,
  type DeepPartial,
  ListSuppressionsRequest,
  SuppressionReason,
} from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, hashOf, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

const { MESSAGE_STATUS_QUEUED, MESSAGE_STATUS_SUPPRESSED } = MessageStatus;
const { RECIPIENT_STATUS_QUEUED, RECIPIENT_STATUS_SUPPRESSED } = RecipientStatus;

function tenant(): string {
  const id = newId('ten');
  world.verified.add(`${id} sender.example`);
  return id;
}

const add = (entries: DeepPartial<AddSuppressionsRequest>['suppressions'], tenantId: string, more = {}) =>
  world.suppressions.addSuppressions(AddSuppressionsRequest.fromPartial({ suppressions: entries ?? [], ...more }), { tenantId });
const list = (tenantId: string, filter: DeepPartial<ListSuppressionsRequest> = {}) =>
  world.suppressions.listSuppressions(ListSuppressionsRequest.fromPartial(filter), { tenantId });
const to = (...emails: string[]) => emails.map((email) => ({ email, name: '' }));

describe('a recipient on the list', () => {
  it('gets nothing: status, answer, events, and what delivery hears', async () => {
    const own = tenant();
    await add([{ email: 'Gone@Rcpt.example' }], own);
    const accepted = await world.acceptOne({ to: to('gone@rcpt.example') }, {}, own);
    assert.equal(accepted.status, MESSAGE_STATUS_SUPPRESSED);
    assert.equal(accepted.estimatedSendAt, undefined);
    assert.deepEqual(
      accepted.warnings.map(({ path, code }) => [path, code]),
      [['to', 'RECIPIENT_SUPPRESSED']],
    );
    const [event] = await world.outboxOf(accepted.id);
    assert.deepEqual(event?.recipients, []);
    assert.deepEqual(event?.suppressed, [{ number: 0, address: 'gone@rcpt.example' }]);
    await waitFor(async () => (await world.get(accepted.id, own)).events.some(({ type }) => type === 'message.suppressed'), {
      what: 'the event',
    });
    const { message, events } = await world.get(accepted.id, own);
    assert.equal(message?.status, MESSAGE_STATUS_SUPPRESSED);
    assert.deepEqual(
      events.map(({ type, recipient }) => [type, recipient]),
      [
        ['message.accepted', ''],
        ['message.suppressed', 'gone@rcpt.example'],
      ],
    );
  });

  it('does not stop the others', async () => {
    const own = tenant();
    await add([{ email: 'b@rcpt.example' }], own);
    const { id, status } = await world.acceptOne({ to: to('a@rcpt.example'), bcc: to('B@rcpt.example') }, {}, own);
    assert.equal(status, MESSAGE_STATUS_QUEUED);
    const { message } = await world.get(id, own);
    assert.deepEqual(
      message?.recipients.map((one) => one.status),
      [RECIPIENT_STATUS_QUEUED, RECIPIENT_STATUS_SUPPRESSED],
    );
    assert.deepEqual((await world.outboxOf(id))[0]?.recipients, [{ number: 0, address: 'a@rcpt.example' }]);
  });

  it('is of one tenant and one stream; a group counts like a stream', async () => {
    const own = tenant();
    await add(
      [
        { email: 'a@rcpt.example', stream: 'broadcast' },
        { email: 'a@rcpt.example', stream: 'weekly' },
      ],
      own,
    );
    const status = async (message: object, tenantId = own) =>
      (await world.acceptOne({ to: to('a@rcpt.example'), ...message }, {}, tenantId)).status;
    assert.equal(await status({}), MESSAGE_STATUS_QUEUED);
    assert.equal(await status({ stream: 'broadcast' }), MESSAGE_STATUS_SUPPRESSED);
    assert.equal(await status({ stream: 'broadcast' }, tenant()), MESSAGE_STATUS_QUEUED);
    assert.equal(await status({ unsubscribe: { url: 'https://shop.example/u', group: 'weekly' } }), MESSAGE_STATUS_SUPPRESSED);
    assert.equal(await status({ unsubscribe: { url: 'https://shop.example/u', group: 'daily' } }), MESSAGE_STATUS_QUEUED);
  });

  it('is found in every form of request: with a key, with keys per item, many at once, concurrently', async () => {
    const own = tenant();
    await add([{ email: 'b@rcpt.example' }], own);
    const statuses = async (messages: object[], request = {}) =>
      (await world.accept(messages, request, own)).results.map(({ result }) =>
        result?.$case === 'accepted' ? result.value.status : result?.$case,
      );
    const pair = [{ to: to('a@rcpt.example') }, { to: to('b@rcpt.example') }];
    const expected = [MESSAGE_STATUS_QUEUED, MESSAGE_STATUS_SUPPRESSED];
    assert.deepEqual(await statuses(pair), expected);
    assert.deepEqual(await statuses(pair, { idempotencyKey: 'whole', requestSha256: hashOf('x') }), expected);
    assert.deepEqual(await statuses(pair, { idempotencyKey: 'whole', requestSha256: hashOf('x') }), expected, 'replayed');
    const keyed = pair.map((one, index) => ({ ...one, idempotencyKey: `item-${index}`, requestSha256: hashOf(`${index}`) }));
    assert.deepEqual(await statuses(keyed), expected);
    const together = await Promise.all(Array.from({ length: 20 }, (_, index) => statuses([pair[index % 2]!])));
    assert.deepEqual(
      together.flat(),
      Array.from({ length: 20 }, (_, index) => expected[index % 2]),
    );
  });
});

describe('a recipient who comes onto the list later', () => {
  const told = async (tenantId: string) => {
    const { rows } = await world.database.pool.query<{ payload: Buffer }>(
      'SELECT payload FROM outbox WHERE topic = $1 AND key = $2 ORDER BY position',
      [addressSuppressed.name, tenantId],
    );
    return rows.map(({ payload }) => AddressSuppressedEvent.decode(payload));
  };
  const found = async (messageId: string, numbers: number[], tenantId: string) =>
    (await world.suppressionCheck.findSuppressed({ messageId, recipientNumbers: numbers }, { tenantId })).recipientNumbers;

  it('is told once, however often it is added, in lower case', async () => {
    const own = tenant();
    await add([{ email: 'Late@Rcpt.example', stream: 'broadcast' }], own);
    await add([{ email: 'late@rcpt.example', stream: 'broadcast' }], own);
    assert.deepEqual(await told(own), [{ tenantId: own, address: 'late@rcpt.example', stream: 'broadcast' }]);
  });

  it('is found for the stream and the group of its message, as the list is now, by its tenant alone', async () => {
    const own = tenant();
    const { id } = await world.acceptOne(
      { to: to('a@rcpt.example', 'B@rcpt.example'), stream: 'broadcast', unsubscribe: { url: 'https://shop.example/u', group: 'weekly' } },
      {},
      own,
    );
    assert.deepEqual(await found(id, [0, 1], own), []);
    await add([{ email: 'a@rcpt.example' }], own);
    assert.deepEqual(await found(id, [0, 1], own), [], 'another stream');
    await add([{ email: 'a@rcpt.example', stream: 'broadcast' }], own);
    await add([{ email: 'b@rcpt.example', stream: 'weekly' }], own);
    assert.deepEqual(await found(id, [0, 1], own), [0, 1]);
    assert.deepEqual(await found(id, [1], own), [1]);
    assert.deepEqual(await found(id, [0, 1], tenant()), []);
    await world.suppressions.deleteSuppression({ email: 'b@rcpt.example', stream: '' }, { tenantId: own });
    assert.deepEqual(await found(id, [0, 1], own), [0]);
  });

  it('is found beyond ASCII in whichever case it is written', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ to: to('JÖRG@rcpt.example', 'ПОШТА@rcpt.example', 'other@rcpt.example') }, {}, own);
    await add([{ email: 'jo\u0308rg@rcpt.example' }, { email: 'пошта@rcpt.example' }], own);
    assert.deepEqual(await found(id, [0, 1, 2], own), [0, 1]);
  });

  it('ends as suppressed when delivery says so, and counts as that', async () => {
    const own = tenant();
    const { id } = await world.acceptOne({ to: to('user@rcpt.example') }, {}, own);
    await world.tellAttempts({
      messageId: id,
      tenantId: own,
      recipientNumber: 0,
      recipient: 'user@rcpt.example',
      outcome: Outcome.OUTCOME_SUPPRESSED,
      queuedAt: new Date(),
      finishedAt: new Date(),
    });
    await waitFor(async () => (await world.get(id, own)).message?.status === MESSAGE_STATUS_SUPPRESSED, { what: 'the outcome' });
    const { message, events } = await world.get(id, own);
    assert.deepEqual([message?.recipients[0]?.status, message?.recipients[0]?.attempts], [RECIPIENT_STATUS_SUPPRESSED, 0]);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['message.accepted', 'message.queued', 'message.suppressed'],
    );
  });
});

describe('what puts people on the list', () => {
  const bounce = (type: BounceType, kind: BounceClass) => ({ type, class: kind, diagnostic: 'smtp; 550 no' });
  const { BOUNCE_TYPE_PERMANENT: permanent, BOUNCE_TYPE_TRANSIENT: transient } = BounceType;

  async function ended(outcome: Outcome, why: ReturnType<typeof bounce>, message: object = {}): Promise<string> {
    const own = tenant();
    const { id } = await world.acceptOne({ to: to('user@rcpt.example'), ...message }, {}, own);
    await world.tellAttempts({
      messageId: id,
      tenantId: own,
      recipientNumber: 0,
      recipient: 'user@rcpt.example',
      attempt: 1,
      outcome,
      bounce: why,
      finishedAt: new Date(),
    });
    await waitFor(async () => (await world.get(id, own)).events.length > 1, { what: 'the outcome' });
    return own;
  }

  it('a mailbox that does not exist, in the stream of the message', async () => {
    const own = await ended(Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_RECIPIENT), { stream: 'broadcast' });
    const { suppressions } = await list(own);
    assert.deepEqual(
      suppressions.map(({ email, stream, reason }) => [email, stream, reason]),
      [['user@rcpt.example', 'broadcast', SuppressionReason.SUPPRESSION_REASON_BOUNCE]],
    );
    assert.match(suppressions[0]!.messageId, /^msg_/);
  });

  const never: [string, Outcome, ReturnType<typeof bounce>, object?][] = [
    ['our own infrastructure', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_INFRASTRUCTURE)],
    ['our reputation', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_REPUTATION)],
    ['a policy', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_POLICY)],
    ['the content', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_CONTENT)],
    ['a full mailbox', Outcome.OUTCOME_BOUNCED, bounce(transient, BounceClass.BOUNCE_CLASS_MAILBOX_FULL)],
    ['a name that can’t be looked up', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_DNS)],
    ['retries that are used up', Outcome.OUTCOME_FAILED, bounce(permanent, BounceClass.BOUNCE_CLASS_RECIPIENT)],
    ['a refusal that may pass', Outcome.OUTCOME_BOUNCED, bounce(transient, BounceClass.BOUNCE_CLASS_RECIPIENT)],
    ['captured mail', Outcome.OUTCOME_BOUNCED, bounce(permanent, BounceClass.BOUNCE_CLASS_RECIPIENT), { test: true }],
  ];
  for (const [what, outcome, why, message] of never) {
    it(`never ${what}`, async () => {
      assert.deepEqual((await list(await ended(outcome, why, message))).suppressions, []);
    });
  }
});

describe('the list itself', () => {
  it('is read in pages, newest first, and filtered; of nobody else', async () => {
    const own = tenant();
    for (const name of ['a', 'b', 'c']) await add([{ email: `${name}@rcpt.example`, stream: name === 'b' ? 'broadcast' : '' }], own);
    const first = await list(own, { limit: 2 });
    assert.deepEqual(
      first.suppressions.map(({ email }) => email),
      ['c@rcpt.example', 'b@rcpt.example'],
    );
    const second = await list(own, { limit: 2, afterId: first.nextAfterId });
    assert.deepEqual(
      second.suppressions.map(({ email }) => email),
      ['a@rcpt.example'],
    );
    assert.equal(second.nextAfterId, '');
    const emails = async (filter: object) => (await list(own, filter)).suppressions.map(({ email }) => email);
    assert.deepEqual(await emails({ stream: 'broadcast' }), ['b@rcpt.example']);
    assert.deepEqual(await emails({ email: 'A@rcpt.EXAMPLE' }), ['a@rcpt.example']);
    assert.deepEqual(await emails({ reason: SuppressionReason.SUPPRESSION_REASON_BOUNCE }), []);
    assert.deepEqual((await list(tenant())).suppressions, []);
  });

  it('keeps the first entry of an address, counts what is new, and replays an idempotency key', async () => {
    const own = tenant();
    const entries = [{ email: 'A@rcpt.example' }, { email: 'b@rcpt.example' }, { email: 'a@rcpt.example' }];
    const key = { idempotencyKey: 'import', requestSha256: hashOf('import') };
    const first = await add(entries, own, key);
    assert.equal(first.added, 2);
    assert.deepEqual(
      first.suppressions.map(({ email }) => email),
      ['A@rcpt.example', 'b@rcpt.example', 'A@rcpt.example'],
    );
    const again = await add(entries, own, key);
    assert.deepEqual({ ...again, replayed: false }, first);
    assert.equal(again.replayed, true);
    assert.equal((await add(entries, own)).added, 0);
    await assert.rejects(
      add([{ email: 'c@rcpt.example' }], own, { ...key, requestSha256: hashOf('other') }),
      rpcError('IDEMPOTENCY_MISMATCH'),
    );
  });

  it('lets an address go, of one stream or of all; another tenant’s is not found', async () => {
    const own = tenant();
    await add([{ email: 'a@rcpt.example' }, { email: 'a@rcpt.example', stream: 'broadcast' }], own);
    const remove = (email: string, stream: string, tenantId: string) =>
      world.suppressions.deleteSuppression({ email, stream }, { tenantId });
    await assert.rejects(remove('a@rcpt.example', '', tenant()), rpcError('NOT_FOUND'));
    assert.equal((await remove('A@RCPT.example', 'broadcast', own)).deleted, 1);
    assert.equal((await world.acceptOne({ to: to('a@rcpt.example') }, {}, own)).status, MESSAGE_STATUS_SUPPRESSED);
    assert.equal((await remove('a@rcpt.example', '', own)).deleted, 1);
    assert.equal((await world.acceptOne({ to: to('a@rcpt.example') }, {}, own)).status, MESSAGE_STATUS_QUEUED);
    await assert.rejects(remove('a@rcpt.example', '', own), rpcError('NOT_FOUND'));
  });
});
