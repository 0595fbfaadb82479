// A suppression as callers see it.
import type { Suppression } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { uuidTime, uuidToId } from '@maildoot/runtime/ids';
import type { SuppressionRow } from '../store/suppression.ts';

export function viewSuppression(row: SuppressionRow): Suppression {
  return {
    id: uuidToId('sup', row.id),
    email: row.email,
    stream: row.stream,
    reason: row.reason as Suppression['reason'],
    createdAt: uuidTime(row.id),
    messageId: row.messageId === null ? '' : uuidToId('msg', row.messageId),
  };
}
