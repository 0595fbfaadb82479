// GET /password: where a one-time link leads: a page to choose a password on.
import { definePublicRoute, page } from '../route.ts';

export const getPassword = definePublicRoute({
  method: 'GET',
  path: '/password',
  operationId: 'getPasswordPage',
  tag: 'Auth',
  summary: 'The page that one-time links lead to',
  responses: [{ status: 200, description: 'A page.', contentType: 'text/html' }],
  handle: ({ pages }) => page(pages.password),
});
