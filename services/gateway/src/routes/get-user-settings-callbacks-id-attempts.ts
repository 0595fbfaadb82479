// GET /v1/user-settings/callbacks/:id/attempts: what was tried, newest first.
import { z } from 'zod';
import { callbackAttemptJson, callbackAttemptSchema, callbackIdParam, exampleCallbackAttempt } from '../callback-json.ts';
import { listJson, listSchema } from '../list-json.ts';
import { pathId } from '../path-id.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

export const getUserSettingsCallbacksIdAttempts = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/callbacks/:id/attempts',
  operationId: 'listCallbackAttempts',
  tag: 'Webhooks',
  summary: 'List what was tried',
  description: 'Every attempt of the last 30 days, with the status and the beginning of the answer.',
  scopes: ['read', 'full'],
  params: callbackIdParam,
  query: z.strictObject({
    limit: limitField(),
    cursor: cursorField('cba'),
    event_id: z.string().optional().meta({ description: 'Only those at this event.' }),
    succeeded: z.enum(['true', 'false']).optional().meta({ description: 'Only those that were, or were not, answered with a 2xx.' }),
  }),
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'A page of attempts.',
      schema: listSchema('CallbackAttemptList', callbackAttemptSchema),
      example: { data: [exampleCallbackAttempt], next_cursor: null },
    },
  ],
  handle: async ({ params, query }, { peers, principal, requestId, signal }) => {
    const { limit, cursor, event_id: eventId, succeeded } = query;
    const page = await peers.callbacks.listCallbackAttempts(
      {
        id: pathId('cbk', params),
        limit,
        afterId: cursor ?? '',
        eventId: eventId ?? '',
        succeeded: succeeded === undefined ? undefined : succeeded === 'true',
      },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('cba', page.attempts.map(callbackAttemptJson), page.hasMore ? page.attempts.at(-1)?.id : undefined));
  },
});
