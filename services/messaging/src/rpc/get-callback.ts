// GetCallback: one of the tenant's.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type ManageParts, noSuchCallback, viewCallback } from '../callbacks/manage.ts';
import { findCallback } from '../store/callbacks.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function getCallback({ database, clock }: ManageParts) {
  return unary<typeof CallbackServiceService.getCallback>(['gateway'], async ({ id }, call) => {
    const callback = await findCallback(database.pool, tenantOf(call), callbackUuid(id));
    if (callback === undefined) throw noSuchCallback();
    return { callback: viewCallback(callback, clock.now()) };
  });
}
