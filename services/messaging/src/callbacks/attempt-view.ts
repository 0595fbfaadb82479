// An attempt as it is shown to its callback's owner.
import type { CallbackAttempt, CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { uuidToId } from '@maildoot/runtime/ids';
import type { AttemptRow } from '../store/callbacks.ts';
import { noMessage } from '../store/feed.ts';

export function viewAttempt(row: AttemptRow): CallbackAttempt {
  return {
    id: uuidToId('cba', row.id),
    callbackId: uuidToId('cbk', row.callbackId),
    eventId: uuidToId('evt', row.eventId),
    eventType: row.type,
    // Not told by equal ids: that a message was accepted has the message's own.
    messageId: row.recipientNumber === noMessage ? '' : uuidToId('msg', row.aboutId),
    number: row.number,
    at: row.at,
    durationMs: row.durationMs,
    outcome: row.outcome as CallbackOutcome,
    httpStatus: row.httpStatus,
    detail: row.detail,
    nextAttemptAt: row.nextAttemptAt ?? undefined,
    recipientNumber: row.recipientNumber,
  };
}
