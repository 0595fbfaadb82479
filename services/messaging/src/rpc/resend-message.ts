// ResendMessage: a message once more, as a new one; see resend.ts.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { traceparentOf } from '@maildoot/runtime/telemetry';
import { context } from '@opentelemetry/api';
import { errors } from '../errors.ts';
import { type ResendParts, resendMessage as resend } from '../resend.ts';
import { messageUuid, tenantOf, unary } from './door.ts';

export function resendMessage(parts: ResendParts) {
  return unary<typeof MessagingServiceService.resendMessage>(['gateway'], async ({ id, ...terms }, call) => {
    const { tenantId, requestId } = call;
    const caller = { tenantId, tenantUuid: tenantOf(call), requestId, traceparent: traceparentOf(context.active()) };
    const { results, replayed } = await resend(parts, caller, messageUuid(id), terms);
    const result = results[0]?.result;
    if (result?.$case === 'accepted') return { accepted: result.value, replayed };
    if (result === undefined && terms.replayOnly === true) return { accepted: undefined, replayed: false };
    if (result === undefined) throw errors.UNAVAILABLE({ message: 'Accepting gave no answer. Try again shortly.' });
    const make = errors[result.value.code as keyof typeof errors] ?? errors.CONFLICT;
    throw make({ message: result.value.message, issues: result.value.issues, retryAfterMs: result.value.retryAfterMs });
  });
}
