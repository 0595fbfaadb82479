// GET /v1/user-settings/callbacks: the tenant's callbacks, newest first.
import { z } from 'zod';
import { callbackJson, callbackSchema, exampleCallback } from '../callback-json.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

export const getUserSettingsCallbacks = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/callbacks',
  operationId: 'listCallbacks',
  tag: 'Webhooks',
  summary: 'List callbacks',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('cbk') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of callbacks.',
      schema: listSchema('CallbackList', callbackSchema),
      example: { data: [exampleCallback], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.callbacks.listCallbacks(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('cbk', page.callbacks.map(callbackJson), page.hasMore ? page.callbacks.at(-1)?.id : undefined));
  },
});
