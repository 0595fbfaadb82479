// Another time for a message. Delivery owns the time, so it is asked first, and what it answers is recorded here:
//   1. the message and its open recipients, of this tenant
//   2. delivery moves those that were never tried; a message that it has not heard of yet is asked about again for a moment
//   3. the message's time, its recipients' statuses and the event, in one transaction; before them how it was accepted, which can't be
//      told from the message any more
import type { Database } from '@maildoot/db/database';
import type { ScheduleServiceService } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import { type Message, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { RpcClient } from '@maildoot/rpc/client';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { errors, noSuchMessage } from './errors.ts';
import { keepEvents, ownEvents } from './keep-events.ts';
import { maxSendAtDays } from './message-rules.ts';
import { viewMessage } from './message-view.ts';
import { untouchedCounts } from './stats.ts';
import { messageStatus, moveCount } from './status.ts';
import type { MessageStore } from './store/messages.ts';
import { acceptedKey, lockMessages, type NewEvent, readRecipients, updateMessages } from './store/outcomes.ts';
import { nextRescheduling, setSendAt } from './store/reschedule.ts';
import { addCounts } from './store/stats.ts';
import type { Telemetry } from './telemetry.ts';
import { scheduledType, wholeMessage } from './timeline.ts';

export interface RescheduleParts {
  database: Database;
  messages: MessageStore;
  schedule: Pick<RpcClient<typeof ScheduleServiceService>, 'rescheduleRecipients'>;
  clock: Clock;
  telemetry: Telemetry;
  wakeFeed(): void;
}

/** On whose behalf; ids are the database's. */
export interface RescheduleCaller {
  tenantId: string;
  requestId: string;
}

const dayMs = 86_400_000;
// The queue hears of a message within milliseconds, when nothing is wrong.
const askAgainAfterMs = [50, 100, 200, 400, 800];
const { RECIPIENT_STATUS_SCHEDULED: scheduled, RECIPIENT_STATUS_QUEUED: queued } = RecipientStatus;

export async function rescheduleMessage(
  parts: RescheduleParts,
  caller: RescheduleCaller,
  messageId: string,
  sendAt: Date,
): Promise<Message> {
  refuseBadTime(sendAt, parts.clock.now());
  const { messages } = parts;
  const message = await messages.find(caller.tenantId, messageId);
  if (message === undefined) throw noSuchMessage();
  const recipients = (await messages.recipientsOf(caller.tenantId, [messageId])).get(messageId) ?? [];
  const waiting = recipients.filter(({ status }) => status === scheduled || status === queued).map(({ number }) => number);
  const moved = await move(parts, caller, messageId, waiting, sendAt);
  if (moved.length === 0)
    throw errors.MESSAGE_NOT_RESCHEDULABLE({ message: 'Every recipient is being delivered to, was tried already, or is done with.' });
  await record(parts, messageId, moved, sendAt);
  parts.wakeFeed();
  parts.telemetry.rescheduled(moved.length);

  const now = await messages.find(caller.tenantId, messageId);
  if (now === undefined) throw noSuchMessage();
  return viewMessage(now, (await messages.recipientsOf(caller.tenantId, [messageId])).get(messageId) ?? [], parts.clock.now());
}

function refuseBadTime(sendAt: Date, now: Date): void {
  if (sendAt.getTime() <= now.getTime() + maxSendAtDays * dayMs) return;
  const issue = { path: 'send_at', code: 'too_far_ahead', message: `send_at is at most ${maxSendAtDays} days ahead.` };
  throw errors.VALIDATION_ERROR({ message: issue.message, issues: [issue] });
}

async function move(
  { schedule }: RescheduleParts,
  caller: RescheduleCaller,
  messageId: string,
  numbers: readonly number[],
  sendAt: Date,
): Promise<number[]> {
  if (numbers.length === 0) return [];
  const ask = () =>
    schedule.rescheduleRecipients(
      { messageId: uuidToId('msg', messageId), recipientNumbers: [...numbers], sendAt },
      { tenantId: uuidToId('ten', caller.tenantId), requestId: caller.requestId },
    );
  let answer = await ask();
  for (const waitMs of askAgainAfterMs) {
    if (answer.notYet.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    answer = await ask();
  }
  if (answer.notYet.length > 0)
    throw errors.UNAVAILABLE({ message: 'The queue has not taken this message up yet. Try again shortly.', retryAfterMs: 2_000 });
  return answer.rescheduled;
}

async function record({ database, clock }: RescheduleParts, messageId: string, moved: readonly number[], sendAt: Date): Promise<void> {
  const next = sendAt > clock.now() ? scheduled : queued;
  await database.transaction(async (client) => {
    const [message] = await lockMessages(client, [messageId]);
    if (message === undefined) return;
    const own = await ownEvents(client, [message]);
    const acceptance = untouchedCounts(message);
    const rows = await readRecipients(
      client,
      moved.map((number) => ({ messageId, number })),
    );
    // An outcome may have come in between: whoever has moved on stays where it is.
    const changed = rows.filter(({ status }) => status !== next && (status === scheduled || status === queued));
    for (const { status } of changed) moveCount(message.statusCounts, status as RecipientStatus, next);
    message.status = messageStatus(message.statusCounts);
    await setSendAt(
      client,
      messageId,
      sendAt,
      next,
      changed.map(({ number }) => number),
    );
    await updateMessages(client, [message]);
    const scheduling = async (): Promise<NewEvent> => ({
      messageId,
      tenantId: message.tenantId,
      recipientNumber: wholeMessage,
      // That of the acceptance has number 0.
      attempt: await nextRescheduling(client, messageId),
      type: scheduledType,
      id: newUuid(),
      at: clock.now(),
      detail: new Uint8Array(),
    });
    const fresh = await keepEvents(client, next === queued ? own : [...own, await scheduling()]);
    if (fresh.has(acceptedKey(messageId))) await addCounts(client, acceptance);
  });
}
