// GET /v1/messages/:id/timeline: a message's way, per recipient, in the receivers' words.
import { z } from 'zod';
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
    'Per recipient every attempt with its addresses, encryption, the server’s reply verbatim and the time it took, and a sentence that sums it up; `explain` says why it stands where it does, who must act, and when the next attempt is.',
  scopes: ['read', 'send', 'full'],
  params: messageIdParam,
  query: z.strictObject({
    explain: z.enum(['true', 'false']).default('true').meta({ description: '`false` leaves `explain` of the recipients null.' }),
  }),
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The timeline.', schema: timelineSchema, example: exampleTimeline }],
  handle: async ({ params, query }, { peers, principal, requestId, signal }) => {
    const id = pathId('msg', params);
    const timeline = await peers.messaging.getTimeline({ id }, { tenantId: principal.tenantId, requestId, signal });
    return json(200, timelineJson(timeline, { explained: query.explain === 'true', suspended: principal.suspended }));
  },
});
