// GET /v1/messages/:id/timeline: a message's way, per recipient, in the receivers' words.
import { z } from 'zod';
import { exampleTimeline } from '../message-examples.ts';
import { timelineJson, timelineSchema } from '../message-json.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { cursorField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

export const getMessagesIdTimeline = defineRoute({
  method: 'GET',
  path: '/v1/messages/:id/timeline',
  operationId: 'getMessageTimeline',
  tag: 'Messages',
  summary: 'A message’s way, attempt by attempt',
  description:
    'Per recipient every attempt with its addresses, encryption, the server’s reply verbatim and the time it took, and a sentence that sums it up; `explain` says why it stands where it does, who must act, and when the next attempt is. A message with very many webhook attempts shows them over several pages: `cursor=` the `next_cursor` of the one before; all else is on each.',
  scopes: ['read', 'send', 'full'],
  params: messageIdParam,
  query: z.strictObject({
    explain: z.enum(['true', 'false']).default('true').meta({ description: '`false` leaves `explain` of the recipients null.' }),
    cursor: cursorField('cba'),
  }),
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The timeline.', schema: timelineSchema, example: exampleTimeline }],
  handle: async ({ params, query }, { peers, principal, requestId, signal }) => {
    const id = pathId('msg', params);
    const timeline = await peers.messaging.getTimeline(
      { id, attemptsAfterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, timelineJson(timeline, { explained: query.explain === 'true', suspended: principal.suspended }));
  },
});
