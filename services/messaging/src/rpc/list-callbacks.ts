// ListCallbacks: the tenant's, newest first.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { idToUuid } from '@maildoot/runtime/ids';
import { type ManageParts, viewCallback } from '../callbacks/manage.ts';
import { errors } from '../errors.ts';
import { listCallbacks as list } from '../store/callbacks.ts';
import { tenantOf, unary } from './door.ts';

export function listCallbacks({ database, clock }: ManageParts) {
  return unary<typeof CallbackServiceService.listCallbacks>(['gateway'], async (request, call) => {
    const limit = Math.min(request.limit || 20, 100);
    const beforeId = request.afterId === '' ? undefined : idToUuid('cbk', request.afterId);
    if (request.afterId !== '' && beforeId === undefined) throw errors.VALIDATION_ERROR({ message: 'after_id is no id of a callback.' });
    const found = await list(database.pool, tenantOf(call), beforeId, limit + 1);
    const now = clock.now();
    return { callbacks: found.slice(0, limit).map((callback) => viewCallback(callback, now)), hasMore: found.length > limit };
  });
}
