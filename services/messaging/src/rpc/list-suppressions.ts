// ListSuppressions: whom the tenant does not write to, newest first.
import { normaliseEmail } from '@maildoot/mail/address';
import type { SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { errors } from '../errors.ts';
import { listSuppressions as list } from '../store/suppression.ts';
import { tenantOf, unary } from './door.ts';
import { viewSuppression } from './suppression-view.ts';

const defaultLimit = 20;
const maxLimit = 1000;

export function listSuppressions({ pool }: { pool: pg.Pool }) {
  return unary<typeof SuppressionServiceService.listSuppressions>(['gateway'], async (request, call) => {
    const limit = Math.min(request.limit || defaultLimit, maxLimit);
    const beforeId = request.afterId === '' ? undefined : idToUuid('sup', request.afterId);
    if (request.afterId !== '' && beforeId === undefined) {
      const issue = { path: 'after_id', code: 'invalid_id', message: 'This is not an id that was given out.' };
      throw errors.VALIDATION_ERROR({ message: issue.message, issues: [issue] });
    }
    const rows = await list(pool, {
      tenantId: tenantOf(call),
      limit,
      beforeId,
      stream: request.stream || undefined,
      reason: request.reason || undefined,
      email: request.email === '' ? undefined : (normaliseEmail(request.email) ?? request.email),
    });
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return { suppressions: shown.map(viewSuppression), nextAfterId: last === undefined ? '' : uuidToId('sup', last.id) };
  });
}
