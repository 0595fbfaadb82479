// GetTimeline: one message's way, per recipient.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Clock } from '@maildoot/runtime/clock';
import { viewMessage } from '../message-view.ts';
import type { MessageStore } from '../store/messages.ts';
import { messageEvents, recipientEvents } from '../timeline.ts';
import { messageUuid, tenantOf, unary } from './door.ts';
import { readWhole } from './whole-message.ts';

export function getTimeline({ messages, clock }: { messages: MessageStore; clock: Clock }) {
  return unary<typeof MessagingServiceService.getTimeline>(['gateway'], async (request, call) => {
    const { message, recipients, events } = await readWhole(messages, tenantOf(call), messageUuid(request.id));
    const view = viewMessage(message, recipients, clock.now());
    const eventsOf = Map.groupBy(events, (event) => event.recipientNumber);
    return {
      id: view.id,
      status: view.status,
      events: messageEvents(message),
      recipients: view.recipients.map((recipient) => ({
        recipient,
        events: recipientEvents(eventsOf.get(recipient.number) ?? [], () => recipient.address?.email ?? ''),
      })),
    };
  });
}
