// FindSuppressed: delivery asks again about an address that came onto the list while its message waited. Stream and group are the message's,
// and the answer is that of this moment: an address that was taken off again gets its mail.
import type { SuppressionCheckServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import type pg from 'pg';
import { suppressedOf } from '../store/suppression.ts';
import { messageUuid, tenantOf, unary } from './door.ts';

export function findSuppressed({ pool }: { pool: pg.Pool }) {
  return unary<typeof SuppressionCheckServiceService.findSuppressed>(['delivery'], async ({ messageId, recipientNumbers }, call) => ({
    recipientNumbers: await suppressedOf(pool, tenantOf(call), messageUuid(messageId), recipientNumbers),
  }));
}
