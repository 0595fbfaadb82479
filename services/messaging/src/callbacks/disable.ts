// Disabling a callback that its owner did not disable: what waits is left behind, the feed says so (and with it the owner's other
// callbacks), and the owner is written to. One transaction: none of it without the others.
import { CallbackDisabledReason } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { newUuid, uuidTime, uuidToId } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { firstMissed, insertNotice } from '../store/callback-work.ts';
import { disableCallback, type StoredCallback } from '../store/callbacks.ts';
import { appendTenantEvents } from '../tenant-event.ts';

type Reason = typeof CallbackDisabledReason.CALLBACK_DISABLED_REASON_GONE | typeof CallbackDisabledReason.CALLBACK_DISABLED_REASON_FAILING;

/** False: it was not enabled any more. */
export async function disable(
  client: pg.ClientBase,
  { id, tenantId }: { id: string; tenantId: string },
  reason: Reason,
  now: Date,
): Promise<boolean> {
  const missed = await firstMissed(client, id);
  const callback = await disableCallback(client, id, reason, now);
  if (callback === undefined) return false;
  const data = { callback_id: uuidToId('cbk', id), url: callback.url, reason: words[reason].word, failing_since: callback.failingSince };
  await appendTenantEvents(client, [{ id: newUuid(), tenantId, type: 'callback.disabled', at: now, data }]);
  await insertNotice(client, { id: newUuid(), tenantId, callbackId: id, createdAt: now, ...noticeOf(callback, reason, missed) });
  return true;
}

const words: Record<Reason, { word: string; because: string }> = {
  [CallbackDisabledReason.CALLBACK_DISABLED_REASON_GONE]: {
    word: 'gone',
    because: 'It answered 410 Gone, which says that it wants no more events.',
  },
  [CallbackDisabledReason.CALLBACK_DISABLED_REASON_FAILING]: {
    word: 'failing',
    because: 'For five days not a single attempt was answered with a 2xx.',
  },
};

function noticeOf(callback: StoredCallback, reason: Reason, missed: string | undefined): { subject: string; text: string } {
  const { hostname } = new URL(callback.url);
  const failing = callback.failingSince ?? callback.disabledAt ?? callback.updatedAt;
  // An event happened before an attempt at it could fail, and may have waited for long: from there on, or the replay leaves it out.
  const since = missed !== undefined && uuidTime(missed) < failing ? uuidTime(missed) : failing;
  const id = uuidToId('cbk', callback.id);
  return {
    subject: `Your webhook to ${hostname} was disabled`,
    text: [
      `No events are sent to ${callback.url} any more. ${words[reason].because}`,
      '',
      'Nothing is lost: events are kept for 30 days. When the endpoint is ready, one call enables it and sends again what it missed:',
      '',
      `  POST /v1/user-settings/callbacks/${id}/replay`,
      `  {"since": "${since.toISOString()}", "only_failed": true}`,
      '',
      `What was tried: GET /v1/user-settings/callbacks/${id}/attempts`,
      '',
    ].join('\n'),
  };
}
