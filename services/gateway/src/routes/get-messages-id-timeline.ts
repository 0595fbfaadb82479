// GET /v1/messages/:id/timeline: a message's way, per recipient, in the receivers' words.
import { exampleTimeline } from '../message-examples.ts';
import { timelineJson, timelineSchema } from '../message-json.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const getMessagesIdTimeline = defineRoute({
  method: 'GET',
  path: '/v1/messages/:id/timeline',
  operationId: 'getMessageTimeline',
  tag: 'Messages',
  summary: 'A message’s way, attempt by attempt',
  description:
    'Per recipient every attempt with its addresses, encryption, the server’s reply verbatim and the time it took, and a sentence that sums it up.',
  scopes: ['read', 'send', 'full'],
  params: messageIdParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The timeline.', schema: timelineSchema, example: exampleTimeline }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const id = pathId('msg', params);
    return json(200, timelineJson(await peers.messaging.getTimeline({ id }, { tenantId: principal.tenantId, requestId, signal })));
  },
});
