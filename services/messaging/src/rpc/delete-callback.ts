// DeleteCallback: nothing is sent to it any more.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type ManageParts, removeCallback } from '../callbacks/manage.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function deleteCallback(parts: ManageParts) {
  return unary<typeof CallbackServiceService.deleteCallback>(['gateway'], async ({ id }, call) => {
    await removeCallback(parts, tenantOf(call), callbackUuid(id));
    return {};
  });
}
