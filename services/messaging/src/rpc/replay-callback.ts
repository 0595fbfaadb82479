// ReplayCallback: sends a stretch of the feed again.
import type { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type EnableParts, replayCallback as replay } from '../callbacks/manage.ts';
import { callbackUuid } from './callback-id.ts';
import { tenantOf, unary } from './door.ts';

export function replayCallback(parts: EnableParts) {
  return unary<typeof CallbackServiceService.replayCallback>(['gateway'], ({ id, since, until, onlyFailed, repeatable }, call) =>
    replay(parts, { tenantId: tenantOf(call), repeatable }, callbackUuid(id), { since, until, onlyFailed }),
  );
}
