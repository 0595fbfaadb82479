// AcceptMessages: takes one message or many, and answers after the commit; see accept.ts.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { traceparentOf } from '@maildoot/runtime/telemetry';
import { context } from '@opentelemetry/api';
import { type Acceptor, isSmall } from '../accept.ts';
import { Admission } from '../admission.ts';
import { tenantOf, unary } from './door.ts';

export function acceptMessages(acceptor: Acceptor) {
  const admission = new Admission();
  return unary<typeof MessagingServiceService.acceptMessages>(['gateway'], async (request, call) => {
    using _inWork = admission.enter(isSmall(request));
    return await acceptor.accept(request, {
      tenantId: call.tenantId,
      tenantUuid: tenantOf(call),
      requestId: call.requestId,
      traceparent: traceparentOf(context.active()),
    });
  });
}
