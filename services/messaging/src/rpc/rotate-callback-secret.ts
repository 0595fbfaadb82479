// RotateCallbackSecret: a new secret, shown this once; the old one signs along for a day.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type ManageParts, rotateCallbackSecret as rotate } from '../callbacks/manage.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function rotateCallbackSecret(parts: ManageParts) {
  return unary<typeof CallbackServiceService.rotateCallbackSecret>(['gateway'], ({ id, repeatable }, call) =>
    rotate(parts, { tenantId: tenantOf(call), repeatable }, callbackUuid(id)),
  );
}
