// DELETE /v1/messages/:id: cancels every recipient that is not yet handed over.
import { notFound } from '../errors.ts';
import { exampleMessage } from '../message-examples.ts';
import { messageJson, messageSchema } from '../message-json.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const deleteMessagesId = defineRoute({
  method: 'DELETE',
  path: '/v1/messages/:id',
  operationId: 'cancelMessage',
  tag: 'Messages',
  summary: 'Cancel a message',
  description:
    'Stops every recipient that is not yet handed over, and answers with the message and where each recipient stands. 409 only when nothing could be stopped.',
  scopes: ['full'],
  params: messageIdParam,
  errors: ['NOT_FOUND', 'MESSAGE_NOT_CANCELLABLE'],
  responses: [
    {
      status: 200,
      description: 'The message as it stands now.',
      schema: messageSchema,
      example: {
        ...exampleMessage,
        status: 'cancelled',
        recipients: exampleMessage.recipients.map((recipient) => ({ ...recipient, status: 'cancelled', attempts: 0 })),
      },
    },
  ],
  handle: async ({ params }, { peers, publicUrl, principal, requestId }) => {
    const id = pathId('msg', params);
    const { message } = await peers.messaging.cancelMessage({ id }, { tenantId: principal.tenantId, requestId });
    if (message === undefined) throw notFound();
    return json(200, messageJson(message, publicUrl));
  },
});
