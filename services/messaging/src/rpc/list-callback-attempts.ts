// ListCallbackAttempts: what was tried, newest first.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { idToUuid } from '@maildoot/runtime/ids';
import { viewAttempt } from '../callbacks/attempt-view.ts';
import { type ManageParts, noSuchCallback } from '../callbacks/manage.ts';
import { errors } from '../errors.ts';
import { findCallback, listAttempts } from '../store/callbacks.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function listCallbackAttempts({ database }: ManageParts) {
  return unary<typeof CallbackServiceService.listCallbackAttempts>(['gateway'], async (request, call) => {
    const tenantId = tenantOf(call);
    const callbackId = callbackUuid(request.id);
    if ((await findCallback(database.pool, tenantId, callbackId)) === undefined) throw noSuchCallback();
    const limit = Math.min(request.limit || 20, 100);
    const beforeId = request.afterId === '' ? undefined : idToUuid('cba', request.afterId);
    if (request.afterId !== '' && beforeId === undefined) throw errors.VALIDATION_ERROR({ message: 'after_id is no id of an attempt.' });
    const eventId = request.eventId === '' ? undefined : idToUuid('evt', request.eventId);
    if (request.eventId !== '' && eventId === undefined) return { attempts: [], hasMore: false };
    const found = await listAttempts(database.pool, { tenantId, callbackId, beforeId, eventId, succeeded: request.succeeded }, limit + 1);
    return { attempts: found.slice(0, limit).map(viewAttempt), hasMore: found.length > limit };
  });
}
