// DryRun: all that accepting would do, without its effect.
import { domainOfAddress } from '@maildoot/mail/address';
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type pg from 'pg';
import type { Acceptor } from '../accept.ts';
import { errors } from '../errors.ts';
import { findHits } from '../store/suppression.ts';
import { foldedAddress, reasonWord, streamsOf } from '../suppression.ts';
import { tenantOf, unary } from './door.ts';

export function dryRun({ acceptor, pool }: { acceptor: Pick<Acceptor, 'prepare'>; pool: pg.Pool }) {
  return unary<typeof MessagingServiceService.dryRun>(['gateway'], async (request, call) => {
    const { message } = request;
    if (message === undefined) throw errors.VALIDATION_ERROR({ message: 'There is no message to look at.' });
    const { tenantId, requestId } = call;
    const tenantUuid = tenantOf(call);
    const draft = await acceptor.prepare(message, request, { tenantId, tenantUuid, requestId, traceparent: undefined });
    const asked = draft.recipients.flatMap(({ email }) =>
      streamsOf(message).map((stream) => ({ email, address: foldedAddress(email), stream })),
    );
    const hits = await findHits(pool, tenantUuid, asked);
    return {
      mime: draft.mime ?? Buffer.alloc(0),
      sizeBytes: BigInt(draft.mime?.length ?? 0),
      recipients: draft.recipients.length,
      suppressed: asked.flatMap(({ email }, index) => {
        const hit = hits[index];
        return hit === undefined ? [] : [{ email, stream: hit.stream, reason: reasonWord(hit.reason) }];
      }),
      warnings: draft.warnings,
      error: draft.result?.result?.$case === 'error' ? draft.result.result.value : undefined,
      signingDomain: draft.signingDomain,
      mailFromDomain: message.from === undefined ? '' : domainOfAddress(message.from.email),
    };
  });
}
