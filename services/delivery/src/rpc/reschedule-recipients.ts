// RPC RescheduleRecipients: another time for what was never tried.
import type { Database } from '@maildoot/db/database';
import type { RescheduleRecipientsRequest, RescheduleRecipientsResponse } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { rescheduleRecipients as rescheduleInStore } from '../store/reschedule.ts';

// A message has at most a thousand recipients.
const maxRecipients = 1_000;

/** @param enqueued called when something may be due sooner than it was */
export function rescheduleRecipients(parts: { database: Database; enqueued(): void }) {
  return async (request: RescheduleRecipientsRequest, call: RpcCall): Promise<RescheduleRecipientsResponse> => {
    const tenantId = callingTenant(call);
    const messageId = idToUuid('msg', request.messageId);
    const numbers = [...new Set(request.recipientNumbers)];
    const { sendAt } = request;
    if (messageId === undefined || sendAt === undefined) throw errors.VALIDATION_ERROR({ message: 'Say which message, and when.' });
    if (numbers.length > maxRecipients || numbers.some((number) => number > 2 ** 31 - 1))
      throw errors.VALIDATION_ERROR({ message: `At most ${maxRecipients} recipients can be rescheduled at once.` });
    const answer = await rescheduleInStore(parts.database, tenantId, messageId, numbers, sendAt);
    if (answer.rescheduled.length > 0) parts.enqueued();
    return answer;
  };
}
