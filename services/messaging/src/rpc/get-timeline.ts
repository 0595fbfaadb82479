// GetTimeline: one message's way, per recipient.
import type { Database } from '@maildoot/db/database';
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { viewAttempt } from '../callbacks/attempt-view.ts';
import { errors } from '../errors.ts';
import { viewMessage } from '../message-view.ts';
import { attemptsOfMessage } from '../store/callbacks.ts';
import type { MessageStore } from '../store/messages.ts';
import { recipientEvents, wholeMessage, wholeWay } from '../timeline.ts';
import { messageUuid, tenantOf, unary } from './door.ts';
import { readWhole } from './whole-message.ts';

export function getTimeline({ database, messages, clock }: { database: Database; messages: MessageStore; clock: Clock }) {
  return unary<typeof MessagingServiceService.getTimeline>(['gateway'], async (request, call) => {
    const [tenantId, id] = [tenantOf(call), messageUuid(request.id)];
    const afterId = request.attemptsAfterId === '' ? undefined : idToUuid('cba', request.attemptsAfterId);
    if (request.attemptsAfterId !== '' && afterId === undefined)
      throw errors.VALIDATION_ERROR({ message: 'attempts_after_id is no id of an attempt.' });
    const [{ message, recipients, events }, { attempts, nextAfterId }] = await Promise.all([
      readWhole(messages, tenantId, id),
      attemptsOfMessage(database.pool, tenantId, id, { afterId }),
    ]);
    const view = viewMessage(message, recipients, clock.now());
    const eventsOf = Map.groupBy(events, (event) => event.recipientNumber);
    const whole = eventsOf.get(wholeMessage) ?? [];
    return {
      id: view.id,
      status: view.status,
      events: [...wholeWay(message, whole), ...recipientEvents(whole, () => '')],
      recipients: view.recipients.map((recipient) => ({
        recipient,
        events: recipientEvents(eventsOf.get(recipient.number) ?? [], () => recipient.address?.email ?? ''),
      })),
      callbackAttempts: attempts.map(viewAttempt),
      nextAttemptsAfterId: nextAfterId === undefined ? '' : uuidToId('cba', nextAfterId),
    };
  });
}
