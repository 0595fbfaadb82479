// DELETE /v1/messages?batch_id=: cancels what is not yet handed over of a batch.
import { z } from 'zod';
import { exampleIds } from '../examples.ts';
import { messageStatus, messageStatusWord } from '../message-json.ts';
import { requiredIdField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

// A batch has up to a thousand messages, each asked about in delivery.
const deadlineMs = 30_000;

const schema = z
  .strictObject({
    object: z.literal('batch_cancellation'),
    batch_id: z.string(),
    cancelled: z.int().meta({ description: 'Recipients of the batch that get nothing.' }),
    too_late: z.int().meta({ description: 'Recipients that were handed over, or are being handed over.' }),
    data: z
      .array(z.strictObject({ id: z.string(), status: messageStatusWord, cancelled: z.int(), recipients: z.int() }))
      .meta({ description: 'One per message, oldest first.' }),
  })
  .meta({ id: 'BatchCancellation' });

export const deleteMessages = defineRoute({
  method: 'DELETE',
  path: '/v1/messages',
  operationId: 'cancelBatch',
  tag: 'Messages',
  summary: 'Cancel a batch',
  description: 'Stops every recipient of every message of a batch that is not yet handed over. Asked again, it gives the same answer.',
  scopes: ['full'],
  query: z.strictObject({ batch_id: requiredIdField('bat', 'The `batch_id` that sending answered with.') }),
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'The batch as it stands now.',
      schema,
      example: {
        object: 'batch_cancellation',
        batch_id: exampleIds.batch,
        cancelled: 1,
        too_late: 1,
        data: [
          { id: exampleIds.message, status: 'delivered', cancelled: 0, recipients: 1 },
          { id: exampleIds.otherMessage, status: 'cancelled', cancelled: 1, recipients: 1 },
        ],
      },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId }) => {
    const batchId = query.batch_id;
    const { messages } = await peers.messaging.cancelBatch({ batchId }, { tenantId: principal.tenantId, requestId, deadlineMs });
    const sum = (of: (message: (typeof messages)[number]) => number) => messages.reduce((total, message) => total + of(message), 0);
    const cancelled = sum((message) => message.cancelled);
    return json(200, {
      object: 'batch_cancellation',
      batch_id: batchId,
      cancelled,
      too_late: sum((message) => message.recipients) - cancelled,
      data: messages.map((message) => ({ ...message, status: messageStatus.wordOf(message.status) })),
    });
  },
});
