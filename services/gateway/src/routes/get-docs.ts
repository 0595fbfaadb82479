// GET /docs: the reference for people, one page, made from the same description as the OpenAPI document.
import { definePublicRoute, page } from '../route.ts';

export const getDocs = definePublicRoute({
  method: 'GET',
  path: '/docs',
  operationId: 'getDocs',
  tag: 'Platform',
  summary: 'The reference as a page',
  responses: [{ status: 200, description: 'The page.', contentType: 'text/html' }],
  handle: ({ pages }) => page(pages.docs),
});
