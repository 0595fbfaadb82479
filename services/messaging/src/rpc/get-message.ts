// GetMessage: one message with its recipients and events, oldest first.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Clock } from '@maildoot/runtime/clock';
import { viewMessage } from '../message-view.ts';
import type { MessageStore } from '../store/messages.ts';
import { messageEvents, recipientEvents } from '../timeline.ts';
import { messageUuid, tenantOf, unary } from './door.ts';
import { readWhole } from './whole-message.ts';

export function getMessage({ messages, clock }: { messages: MessageStore; clock: Clock }) {
  return unary<typeof MessagingServiceService.getMessage>(['gateway'], async (request, call) => {
    const { message, recipients, events } = await readWhole(messages, tenantOf(call), messageUuid(request.id));
    const emails = new Map(recipients.map((recipient) => [recipient.number, recipient.email]));
    return {
      message: viewMessage(message, recipients, clock.now()),
      events: [...messageEvents(message, events), ...recipientEvents(events, (number) => emails.get(number) ?? '')],
    };
  });
}
