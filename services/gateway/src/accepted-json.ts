// A message that was taken, as sending answers it.
import type { Accepted } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { inboxUrl, messageStatus, messageStatusWord } from './message-json.ts';

export const acceptedSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('message'),
    status: messageStatusWord,
    created_at: z.iso.datetime(),
    estimated_send_at: z.iso.datetime().nullable(),
    captured: z.literal(true).optional().meta({ description: 'It goes to the built-in inbox and nowhere else.' }),
    inbox: z.string().optional().meta({ description: 'Where captured mail can be read; what goes to the simulator is in no inbox.' }),
    warnings: z.array(z.strictObject({ path: z.string(), code: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'AcceptedMessage' });

export function acceptedJson(accepted: Accepted, publicUrl: string): z.input<typeof acceptedSchema> {
  return {
    id: accepted.id,
    object: 'message',
    status: messageStatus.wordOf(accepted.status),
    created_at: timeOf(accepted.createdAt, accepted.id),
    estimated_send_at: timeJson(accepted.estimatedSendAt),
    ...(accepted.captured ? { captured: true, inbox: inboxUrl(publicUrl) } : {}),
    ...(accepted.warnings.length > 0 ? { warnings: accepted.warnings } : {}),
  };
}
