// UpdateCallback: changes what is given.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type EnableParts, updateCallback as update } from '../callbacks/manage.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function updateCallback(parts: EnableParts) {
  return unary<typeof CallbackServiceService.updateCallback>(['gateway'], async ({ id, url, events, description, enabled }, call) => ({
    callback: await update(parts, tenantOf(call), callbackUuid(id), { url, events: events?.patterns, description, enabled }),
  }));
}
