// CancelMessage: stops what is not yet handed over; see cancel.ts.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type CancelParts, cancelMessage as cancel } from '../cancel.ts';
import { messageUuid, tenantOf, unary } from './door.ts';

export function cancelMessage(parts: CancelParts) {
  return unary<typeof MessagingServiceService.cancelMessage>(['gateway'], async (request, call) => ({
    message: await cancel(parts, { tenantId: tenantOf(call), requestId: call.requestId }, messageUuid(request.id)),
  }));
}
