// GET /v1/api-keys: the tenant's keys, newest first.
import { z } from 'zod';
import { apiKeyJson, apiKeySchema, exampleApiKey } from '../api-key-json.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

export const getApiKeys = defineRoute({
  method: 'GET',
  path: '/v1/api-keys',
  operationId: 'listApiKeys',
  tag: 'API keys',
  summary: 'List API keys',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('key') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of keys.',
      schema: listSchema('ApiKeyList', apiKeySchema),
      example: { data: [exampleApiKey], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.auth.listApiKeys(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('key', page.apiKeys.map(apiKeyJson), page.hasMore ? page.apiKeys.at(-1)?.id : undefined));
  },
});
