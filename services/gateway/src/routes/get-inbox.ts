// GET /inbox: a page that shows captured mail. It asks the API with a key from the URL's fragment or from its form.
import { definePublicRoute, page } from '../route.ts';

export const getInbox = definePublicRoute({
  method: 'GET',
  path: '/inbox',
  operationId: 'getInboxPage',
  tag: 'Test inbox',
  summary: 'The test inbox as a page',
  description: 'Open it with `#key=mdsk_…`, or give it a key in its form. The key stays in the browser’s tab.',
  responses: [{ status: 200, description: 'The page.', contentType: 'text/html' }],
  handle: ({ pages }) => page(pages.inbox),
});
