// What comes back after the recipient's server had taken a message: `delivered` is left for `bounced`, complaints flag the recipient, and
// nothing else moves anything.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { outboxMigrations } from '@maildoot/events/migrations';
import { appendOutbox } from '@maildoot/events/outbox';
import { type Sequencer, startSequencer } from '@maildoot/events/sequencer';
import { reportReceived } from '@maildoot/events/topics';
import { BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type DeepPartial, ReportAction, ReportKind, ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { waitFor } from '@maildoot/testkit/wait';
import { createWorld, type World } from './world.ts';

let world: World;
let mailbox: { tell(...events: DeepPartial<ReportReceivedEvent>[]): Promise<void> } & AsyncDisposable;
before(async () => {
  world = await createWorld();
  mailbox = await openMailbox(world);
});
after(async () => {
  await mailbox[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** The schema of mailbox, with its outbox. */
async function openMailbox({ databaseUrl: url }: World) {
  await using opening = new AsyncDisposableStack();
  const logger = createLogger({ service: 'test', level: 'silent' });
  await migrate({ url, schema: 'mailbox', migrations: [outboxMigrations] });
  const database = opening.use(openDatabase({ url, schema: 'mailbox', maxConnections: 2, applicationName: 'test' }));
  const sequencer: Sequencer = opening.use(startSequencer({ database, logger }));
  await sequencer.ready;
  const parts = opening.move();
  return {
    async tell(...events: DeepPartial<ReportReceivedEvent>[]) {
      await database.transaction((client) =>
        appendOutbox(
          client,
          events.map((event) => ({ topic: reportReceived, event: ReportReceivedEvent.fromPartial({ receivedAt: new Date(), ...event }) })),
        ),
      );
      sequencer.wake();
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

const permanent = { type: BounceType.BOUNCE_TYPE_PERMANENT, class: BounceClass.BOUNCE_CLASS_RECIPIENT, diagnostic: 'smtp; 550 5.1.1 gone' };
const failure = (messageId: string, recipientNumber = 0): DeepPartial<ReportReceivedEvent> => ({
  ...{ messageId, recipientNumber, kind: ReportKind.REPORT_KIND_DELIVERY, action: ReportAction.REPORT_ACTION_FAILED },
  ...{ bounce: permanent, enhancedCode: '5.1.1', reportingMta: 'mx.example.net' },
});
const address = (email: string) => ({ email, name: '' });

async function delivered(...emails: string[]): Promise<string> {
  const { id } = await world.acceptOne({ to: emails.map(address) });
  await tellDelivered(id, emails);
  await waitFor(async () => (await world.get(id)).message?.status === MessageStatus.MESSAGE_STATUS_DELIVERED, { what: 'delivered' });
  return id;
}
async function tellDelivered(messageId: string, emails: string[]): Promise<void> {
  const at = new Date();
  await world.tellAttempts(
    ...emails.map((recipient, recipientNumber) => ({
      ...{
        messageId,
        recipientNumber,
        recipient,
        attempt: 1,
        outcome: Outcome.OUTCOME_DELIVERED,
        queuedAt: at,
        startedAt: at,
        finishedAt: at,
      },
    })),
  );
}
async function standing(id: string) {
  const { message, events } = await world.get(id);
  return {
    status: message?.status,
    recipients: message?.recipients.map(({ status }) => status),
    types: events.filter(({ recipient }) => recipient !== '').map(({ type, recipient }) => `${recipient.split('@')[0]} ${type}`),
  };
}
const { RECIPIENT_STATUS_BOUNCED: bounced, RECIPIENT_STATUS_DELIVERED: isDelivered } = RecipientStatus;

test('bounced after delivered: the recipient, the message, an event with the reason, and the list of whom not to write to', async () => {
  const id = await delivered('late@rcpt.example', 'fine@rcpt.example');
  await mailbox.tell(failure(id));
  await waitFor(async () => (await standing(id)).recipients?.[0] === bounced, { what: 'bounced' });
  const after = await standing(id);
  assert.deepEqual(after.recipients, [bounced, isDelivered]);
  assert.equal(after.status, MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED);
  assert.equal(after.types.at(-1), 'late message.bounced');
  const { message, events } = await world.get(id);
  assert.equal(message?.recipients[0]?.bounce?.diagnostic, permanent.diagnostic);
  const event = events.find(({ type }) => type === 'message.bounced');
  assert.deepEqual([event?.recipient, event?.attempt?.bounce?.class, event?.attempt?.attempt], ['late@rcpt.example', permanent.class, 0]);
  const { rows } = await world.database.pool.query('SELECT stream FROM suppression WHERE address = $1', ['late@rcpt.example']);
  assert.deepEqual(rows, [{ stream: 'transactional' }]);
  // It stands in the tenant's feed like every other event.
  await waitFor(
    async () => {
      const feed = await world.gateway.listEvents({ limit: 100, after: 0n, waitMs: 0 }, { tenantId: world.tenantId });
      return feed.events.some(({ messageId, event: fed }) => messageId === id && fed?.type === 'message.bounced');
    },
    { what: 'the feed' },
  );
});

test('the same report again, and one more of another server, change nothing', async () => {
  const id = await delivered('twice@rcpt.example');
  await mailbox.tell(failure(id), failure(id));
  await waitFor(async () => (await standing(id)).recipients?.[0] === bounced, { what: 'bounced' });
  const once = await standing(id);
  await mailbox.tell({ ...failure(id), reportingMta: 'other.example.net' });
  const marker = await delivered('marker@rcpt.example');
  await mailbox.tell(failure(marker));
  await waitFor(async () => (await standing(marker)).recipients?.[0] === bounced, { what: 'the marker' });
  assert.deepEqual(await standing(id), once);
  assert.equal(once.types.filter((type) => type.endsWith('message.bounced')).length, 1);
});

test('a report that comes before the attempt was recorded is not overtaken by it', async () => {
  const { id } = await world.acceptOne({ to: [address('early@rcpt.example')] });
  await mailbox.tell(failure(id));
  await waitFor(async () => (await standing(id)).recipients?.[0] === bounced, { what: 'bounced' });
  await tellDelivered(id, ['early@rcpt.example']);
  await waitFor(async () => (await standing(id)).types.includes('early message.delivered'), { what: 'the attempt' });
  assert.deepEqual((await standing(id)).recipients, [bounced]);
  assert.equal((await standing(id)).status, MessageStatus.MESSAGE_STATUS_BOUNCED);
});

test('still tried, arrived, relayed: nothing moves and nothing is told', async () => {
  const id = await delivered('slow@rcpt.example');
  const before = await standing(id);
  const { REPORT_ACTION_DELAYED, REPORT_ACTION_DELIVERED, REPORT_ACTION_RELAYED } = ReportAction;
  await mailbox.tell(
    ...[REPORT_ACTION_DELAYED, REPORT_ACTION_DELIVERED, REPORT_ACTION_RELAYED].map((action) => ({
      ...failure(id),
      action,
      bounce: undefined,
    })),
  );
  const marker = await delivered('marker2@rcpt.example');
  await mailbox.tell(failure(marker));
  await waitFor(async () => (await standing(marker)).recipients?.[0] === bounced, { what: 'the marker' });
  assert.deepEqual(await standing(id), before);
});

test('a transient failure bounces and suppresses nobody', async () => {
  const id = await delivered('full@rcpt.example');
  await mailbox.tell({
    ...failure(id),
    bounce: { type: BounceType.BOUNCE_TYPE_TRANSIENT, class: BounceClass.BOUNCE_CLASS_MAILBOX_FULL, diagnostic: 'x' },
  });
  await waitFor(async () => (await standing(id)).recipients?.[0] === bounced, { what: 'bounced' });
  const { rowCount } = await world.database.pool.query('SELECT 1 FROM suppression WHERE address = $1', ['full@rcpt.example']);
  assert.equal(rowCount, 0);
});

test('a complaint flags the recipient, is told once, and the address is not written to again', async () => {
  const id = await delivered('angry@rcpt.example');
  const complaint = {
    messageId: id,
    recipientNumber: 0,
    kind: ReportKind.REPORT_KIND_FEEDBACK,
    feedbackType: 'abuse',
    userAgent: 'Provider/1.0',
  };
  await mailbox.tell(complaint, complaint);
  await waitFor(async () => (await standing(id)).types.includes('angry message.complained'), { what: 'the event' });
  const after = await standing(id);
  assert.deepEqual(after.recipients, [isDelivered]);
  assert.equal(after.types.filter((type) => type === 'angry message.complained').length, 1);
  const { rows } = await world.database.pool.query("SELECT flags & 4 AS complained FROM recipient WHERE email = 'angry@rcpt.example'");
  assert.deepEqual(rows, [{ complained: 4 }]);
  const { rowCount } = await world.database.pool.query('SELECT 1 FROM suppression WHERE address = $1', ['angry@rcpt.example']);
  assert.equal(rowCount, 1);
});

test('of a message that is not here, or a recipient that it has not: nothing', async () => {
  const id = await delivered('known@rcpt.example');
  const before = await standing(id);
  await mailbox.tell(failure(newId('msg')), failure(id, 7));
  const marker = await delivered('marker3@rcpt.example');
  await mailbox.tell(failure(marker));
  await waitFor(async () => (await standing(marker)).recipients?.[0] === bounced, { what: 'the marker' });
  assert.deepEqual(await standing(id), before);
});
