// GET /docs/errors: what the `docs` link of an error names. A browser takes the #CODE along to the reference.
import { definePublicRoute } from '../route.ts';

export const getDocsErrors = definePublicRoute({
  method: 'GET',
  path: '/docs/errors',
  operationId: 'getDocsErrors',
  tag: 'Platform',
  summary: 'The errors in the reference',
  responses: [{ status: 308, description: 'To the reference.', headers: { Location: 'The reference.' } }],
  handle: () => ({ status: 308, headers: { Location: '/docs' } }),
});
