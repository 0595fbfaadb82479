// An event as it is told outside: by GET /v1/events, as a page or a stream, and by webhooks, in the same words. `type`, `timestamp` and
// `data` are Standard Webhooks' own.
import type { FeedEvent } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type AttemptJson, attemptJson } from './attempt-json.ts';
import { type EngagementJson, engagementJson } from './engagement-json.ts';
import { timeOf } from './time-json.ts';

export interface MessageEventData {
  message_id: string;
  batch_id: string | null;
  recipient: string | null;
  tags: string[];
  metadata: Record<string, string>;
  attempt: AttemptJson | null;
  /** What the recipient did. */
  engagement: EngagementJson | null;
}

export interface EventJson {
  id: string;
  object: 'event';
  seq: number;
  type: string;
  created_at: string;
  timestamp: string;
  /** Of an event that is about no message: what its service made it. */
  data: MessageEventData | Record<string, unknown>;
}

export function feedEventJson(told: FeedEvent): EventJson {
  const { seq, event, recordedAt } = told;
  const id = event?.id ?? '';
  return {
    id,
    object: 'event',
    seq: Number(seq),
    type: event?.type ?? '',
    created_at: timeOf(recordedAt, id),
    timestamp: timeOf(event?.at, id),
    data: told.dataJson.length > 0 ? ownData(told.dataJson) : messageData(told),
  };
}

function messageData({ event, messageId, batchId, tags, metadata }: FeedEvent): MessageEventData {
  return {
    message_id: messageId,
    batch_id: batchId || null,
    recipient: event?.recipient || null,
    tags,
    metadata,
    attempt: event?.attempt === undefined ? null : attemptJson(event.attempt),
    engagement: event?.engagement === undefined ? null : engagementJson(event.engagement),
  };
}

// Checked when it was appended.
function ownData(json: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(json).toString('utf8')) as Record<string, unknown>;
}
