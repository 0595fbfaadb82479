// A message with its recipients and events, as GetMessage and GetTimeline arrange them.
import { noSuchMessage } from '../errors.ts';
import type { EventRow, MessageRow, MessageStore, RecipientView } from '../store/messages.ts';

/** Throws NOT_FOUND, for another tenant's message as for none. */
export async function readWhole(
  messages: MessageStore,
  tenantId: string,
  id: string,
): Promise<{ message: MessageRow; recipients: RecipientView[]; events: EventRow[] }> {
  const [message, recipients, events] = await Promise.all([
    messages.find(tenantId, id),
    messages.recipientsOf(tenantId, [id]),
    messages.eventsOf(tenantId, id),
  ]);
  if (message === undefined) throw noSuchMessage();
  return { message, recipients: recipients.get(id) ?? [], events };
}
