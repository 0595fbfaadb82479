// Events as the API shows them, in the feed and to webhooks. What makes them is libs/webhooks.
import { z } from 'zod';
import { attemptSchema, engagementSchema } from './message-json.ts';

const time = z.iso.datetime();

const messageData = z
  .strictObject({
    message_id: z.string(),
    batch_id: z.string().nullable(),
    recipient: z.string().nullable().meta({ description: 'Null: about the message as a whole.' }),
    tags: z.array(z.string()),
    metadata: z.record(z.string(), z.string()),
    attempt: attemptSchema.nullable(),
    engagement: engagementSchema.nullable().meta({ description: 'What the recipient did.' }),
  })
  .meta({ id: 'MessageEventData' });

const otherData = z.record(z.string(), z.json()).meta({
  id: 'OtherEventData',
  description: 'Of `domain.verified`, `domain.drifted` and `callback.disabled`: what it is about, and why.',
});

export const eventSchema = z
  .strictObject({
    id: z.string().meta({ description: 'The same wherever the event is told: feed, timeline, webhook.' }),
    object: z.literal('event'),
    seq: z.int().meta({ description: 'Its place: increases from event to event, with gaps.' }),
    type: z.string().meta({ examples: ['message.delivered'] }),
    created_at: time.meta({ description: 'When it was recorded.' }),
    timestamp: time.meta({ description: 'When it happened.' }),
    data: z.union([messageData, otherData]),
  })
  .meta({ id: 'Event' });
