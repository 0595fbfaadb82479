// Cancelling a message. Delivery has the power to stop, so it is asked first and what it answers is recorded here:
//   1. the message and its recipients, of this tenant
//   2. delivery stops those that no attempt holds; when it can't be asked, nothing has changed here
//   3. record the answer at once; delivery's event of the same arrives later and is known by then
//   4. the message as it stands; refused when nothing of it is, or was before, cancelled
import type { Database } from '@maildoot/db/database';
import type { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type Message, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { RpcClient } from '@maildoot/rpc/client';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import { errors, noSuchMessage } from './errors.ts';
import { viewMessage } from './message-view.ts';
import { type RecipientOutcome, recordOutcomes } from './record-outcomes.ts';
import { isEnd } from './status.ts';
import type { MessageStore, RecipientView } from './store/messages.ts';
import type { Telemetry } from './telemetry.ts';

export interface CancelParts {
  database: Database;
  messages: MessageStore;
  delivery: Pick<RpcClient<typeof DeliveryServiceService>, 'cancelRecipients'>;
  clock: Clock;
  telemetry: Telemetry;
}

/** On whose behalf; ids are the database's. */
export interface CancelCaller {
  tenantId: string;
  requestId: string;
}

export async function cancelMessage(parts: CancelParts, caller: CancelCaller, messageId: string): Promise<Message> {
  const open = (await readRecipients(parts, caller, messageId)).filter((recipient) => !isEnd(recipient.status as RecipientStatus));
  const stopped = await stop(parts, caller, messageId, open);
  await record(parts, caller, stopped);
  return await answer(parts, caller, messageId);
}

async function readRecipients(parts: CancelParts, { tenantId }: CancelCaller, messageId: string): Promise<RecipientView[]> {
  return (await parts.messages.recipientsOf(tenantId, [messageId])).get(messageId) ?? [];
}

async function stop(parts: CancelParts, caller: CancelCaller, messageId: string, open: readonly RecipientView[]): Promise<RecipientView[]> {
  if (open.length === 0) return [];
  const { cancelled } = await parts.delivery.cancelRecipients(
    { messageId: uuidToId('msg', messageId), recipientNumbers: open.map((recipient) => recipient.number) },
    { tenantId: uuidToId('ten', caller.tenantId), requestId: caller.requestId },
  );
  return open.filter((recipient) => cancelled.includes(recipient.number));
}

async function record(parts: CancelParts, caller: CancelCaller, stopped: readonly RecipientView[]): Promise<void> {
  if (stopped.length === 0) return;
  const now = parts.clock.now();
  const outcomes = stopped.map((recipient) => cancelledOutcome(recipient, caller.tenantId, now));
  await parts.database.transaction((client) => recordOutcomes(client, outcomes, now));
  parts.telemetry.cancelled(stopped.length);
}

async function answer(parts: CancelParts, caller: CancelCaller, messageId: string): Promise<Message> {
  const [message, recipients] = await Promise.all([
    parts.messages.find(caller.tenantId, messageId),
    readRecipients(parts, caller, messageId),
  ]);
  if (message === undefined) throw noSuchMessage();
  // Also when an earlier call did it, whose answer may have been lost.
  if (!recipients.some((recipient) => recipient.status === RecipientStatus.RECIPIENT_STATUS_CANCELLED)) {
    throw errors.MESSAGE_NOT_CANCELLABLE({ message: 'Every recipient is being delivered to at this moment, or is done with.' });
  }
  return viewMessage(message, recipients, parts.clock.now());
}

function cancelledOutcome(recipient: RecipientView, tenantId: string, now: Date): RecipientOutcome {
  const event = AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', recipient.messageId),
    tenantId: uuidToId('ten', tenantId),
    recipientNumber: recipient.number,
    recipient: recipient.email,
    outcome: Outcome.OUTCOME_CANCELLED,
    finishedAt: now,
  });
  return { messageId: recipient.messageId, tenantId, outcome: Outcome.OUTCOME_CANCELLED, event };
}
