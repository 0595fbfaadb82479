// DeleteSuppression: the tenant writes to an address again.
import { normaliseEmail } from '@maildoot/mail/address';
import type { SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import type pg from 'pg';
import { errors } from '../errors.ts';
import { deleteSuppressions } from '../store/suppression.ts';
import { tenantOf, unary } from './door.ts';

export function deleteSuppression({ pool }: { pool: pg.Pool }) {
  return unary<typeof SuppressionServiceService.deleteSuppression>(['gateway'], async ({ email, stream }, call) => {
    const deleted = await deleteSuppressions(pool, tenantOf(call), normaliseEmail(email) ?? email, stream || undefined);
    if (deleted === 0) throw errors.NOT_FOUND({ message: 'This address is not on the list.' });
    return { deleted };
  });
}
