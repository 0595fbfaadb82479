// A message with its recipients and events, as GetMessage and GetTimeline arrange them.
import { noSuchMessage } from '../errors.ts';
import type { EventRow, MessageRow, MessageStore, RecipientView } from '../store/messages.ts';

/**
 * Throws NOT_FOUND, for another tenant's message as for none. The events are read first: what one of them tells is in the recipients too, which
 * were written with it.
 */
export async function readWhole(
  messages: MessageStore,
  tenantId: string,
  id: string,
): Promise<{ message: MessageRow; recipients: RecipientView[]; events: EventRow[] }> {
  const events = await messages.eventsOf(tenantId, id);
  const [message, recipients] = await Promise.all([messages.find(tenantId, id), messages.recipientsOf(tenantId, [id])]);
  if (message === undefined) throw noSuchMessage();
  return { message, recipients: recipients.get(id) ?? [], events };
}
