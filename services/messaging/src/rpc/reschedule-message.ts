// RescheduleMessage: another time for what was never tried; see reschedule.ts.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { errors } from '../errors.ts';
import { type RescheduleParts, rescheduleMessage as reschedule } from '../reschedule.ts';
import { messageUuid, tenantOf, unary } from './door.ts';

export function rescheduleMessage(parts: RescheduleParts) {
  return unary<typeof MessagingServiceService.rescheduleMessage>(['gateway'], async ({ id, sendAt }, call) => {
    if (sendAt === undefined) {
      const issue = { path: 'send_at', code: 'required', message: 'Say when.' };
      throw errors.VALIDATION_ERROR({ message: issue.message, issues: [issue] });
    }
    return { message: await reschedule(parts, { tenantId: tenantOf(call), requestId: call.requestId }, messageUuid(id), sendAt) };
  });
}
