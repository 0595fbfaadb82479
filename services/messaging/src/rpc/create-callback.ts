// CreateCallback: registers an endpoint; its secret is shown this once.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { createCallback as create, type ManageParts } from '../callbacks/manage.ts';
import { tenantOf, unary } from './door.ts';

export function createCallback(parts: ManageParts) {
  return unary<typeof CallbackServiceService.createCallback>(['gateway'], ({ url, events, description, repeatable }, call) =>
    create(parts, { tenantId: tenantOf(call), repeatable }, { url, events, description }),
  );
}
