// PATCH /v1/messages/:id: another time for a message that was not tried yet.
import { z } from 'zod';
import { notFound } from '../errors.ts';
import { exampleMessage } from '../message-examples.ts';
import { messageJson, messageSchema } from '../message-json.ts';
import { sendAt } from '../message-schema.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

const deadlineMs = 10_000;
const exampleSendAt = '2026-02-01T08:00:00.000Z';

export const patchMessagesId = defineRoute({
  method: 'PATCH',
  path: '/v1/messages/:id',
  operationId: 'rescheduleMessage',
  tag: 'Messages',
  summary: 'Reschedule a message',
  description:
    'Moves every recipient that was never tried to another time; a time that has passed sends now. 409 when there is none such: the message is on its way, or done with.',
  scopes: ['full'],
  params: messageIdParam,
  body: {
    schema: z.strictObject({ send_at: sendAt }).meta({ id: 'MessagePatch' }),
    maxBytes: 64 * 1024,
    examples: [{ summary: 'A day later', value: { send_at: exampleSendAt } }],
  },
  errors: ['NOT_FOUND', 'CONFLICT'],
  responses: [
    {
      status: 200,
      description: 'The message as it stands now.',
      schema: messageSchema,
      example: {
        ...exampleMessage,
        status: 'scheduled',
        send_at: exampleSendAt,
        recipients: exampleMessage.recipients.map((recipient) => ({ ...recipient, status: 'scheduled', attempts: 0 })),
      },
    },
  ],
  handle: async ({ params, body }, { peers, publicUrl, principal, requestId }) => {
    const id = pathId('msg', params);
    const { message } = await peers.messaging.rescheduleMessage(
      { id, sendAt: body.send_at },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    if (message === undefined) throw notFound();
    return json(200, messageJson(message, publicUrl));
  },
});
