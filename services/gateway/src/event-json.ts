// Events as the API shows them, in the feed and to webhooks: `type`, `timestamp` and `data` are Standard Webhooks' own.
import type { FeedEvent } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { attemptJson, attemptSchema } from './message-json.ts';
import { timeOf } from './time-json.ts';

const time = z.iso.datetime();

export const eventSchema = z
  .strictObject({
    id: z.string().meta({ description: 'The same wherever the event is told: feed, timeline, webhook.' }),
    object: z.literal('event'),
    seq: z.int().meta({ description: 'Its place: increases from event to event, with gaps.' }),
    type: z.string().meta({ examples: ['message.delivered'] }),
    created_at: time.meta({ description: 'When it was recorded.' }),
    timestamp: time.meta({ description: 'When it happened.' }),
    data: z.strictObject({
      message_id: z.string(),
      batch_id: z.string().nullable(),
      recipient: z.string().nullable().meta({ description: 'Null: about the message as a whole.' }),
      tags: z.array(z.string()),
      metadata: z.record(z.string(), z.string()),
      attempt: attemptSchema.nullable(),
    }),
  })
  .meta({ id: 'Event' });

export type EventJson = z.input<typeof eventSchema>;

export function feedEventJson({ seq, event, recordedAt, messageId, batchId, tags, metadata }: FeedEvent): EventJson {
  const id = event?.id ?? '';
  return {
    id,
    object: 'event',
    seq: Number(seq),
    type: event?.type ?? '',
    created_at: timeOf(recordedAt, id),
    timestamp: timeOf(event?.at, id),
    data: {
      message_id: messageId,
      batch_id: batchId || null,
      recipient: event?.recipient || null,
      tags,
      metadata,
      attempt: event?.attempt === undefined ? null : attemptJson(event.attempt),
    },
  };
}
