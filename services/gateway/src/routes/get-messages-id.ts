// GET /v1/messages/:id: a message with its recipients and events.
import { notFound } from '../errors.ts';
import { exampleMessageWithEvents } from '../message-examples.ts';
import { messageWithEventsJson, messageWithEventsSchema } from '../message-json.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const getMessagesId = defineRoute({
  method: 'GET',
  path: '/v1/messages/:id',
  operationId: 'getMessage',
  tag: 'Messages',
  summary: 'One message with its recipients and events',
  scopes: ['read', 'send', 'full'],
  params: messageIdParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The message.', schema: messageWithEventsSchema, example: exampleMessageWithEvents }],
  handle: async ({ params }, { peers, publicUrl, principal, requestId, signal }) => {
    const id = pathId('msg', params);
    const { message, events } = await peers.messaging.getMessage({ id }, { tenantId: principal.tenantId, requestId, signal });
    if (message === undefined) throw notFound();
    return json(200, messageWithEventsJson(message, events, publicUrl));
  },
});
