// GET /v1/openapi.json: the API described for machines, from the schemas that check the requests.
import { definePublicRoute } from '../route.ts';

export const getOpenapiJson = definePublicRoute({
  method: 'GET',
  path: '/v1/openapi.json',
  operationId: 'getOpenapi',
  tag: 'Platform',
  summary: 'This API as an OpenAPI 3.1 document',
  responses: [{ status: 200, description: 'The document.', contentType: 'application/json' }],
  handle: ({ pages }) => ({ status: 200, content: { text: pages.openapi, contentType: 'application/json; charset=utf-8' } }),
});
