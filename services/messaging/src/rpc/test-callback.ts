// TestCallback: sends a test event, once.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type ManageParts, testCallback as test } from '../callbacks/manage.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function testCallback(parts: ManageParts) {
  return unary<typeof CallbackServiceService.testCallback>(['gateway'], ({ id, repeatable }, call) =>
    test(parts, { tenantId: tenantOf(call), repeatable }, callbackUuid(id)),
  );
}
