// A message with its recipients and events, as GetMessage and GetTimeline arrange them.
import { noSuchMessage } from '../errors.ts';
import type { MessageStore, WholeMessage } from '../store/messages.ts';

/** Throws NOT_FOUND, for another tenant's message as for none. */
export async function readWhole(messages: MessageStore, tenantId: string, id: string): Promise<WholeMessage> {
  const whole = await messages.whole(tenantId, id);
  if (whole === undefined) throw noSuchMessage();
  return whole;
}
