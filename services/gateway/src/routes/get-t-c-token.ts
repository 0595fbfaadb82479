// GET /t/c/:token: a tracked link. The target is in the token and signed, so this leads nowhere that no sender has written, and needs to ask
// nobody: the reader goes on whatever else is down.

import { readClickToken } from '@maildoot/mail/tracking-token';
import { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { notFound } from '../errors.ts';
import { defineOpenRoute } from '../route.ts';
import { recordVisit } from '../visit.ts';

export const getTCToken = defineOpenRoute({
  method: 'GET',
  path: '/t/c/:token',
  operationId: 'trackClick',
  tag: 'Tracking',
  summary: 'A link in a tracked message',
  description: 'Leads on to where the sender’s link did.',
  params: { token: { description: 'Names recipient and target; both signed.', example: 'AZLwoBwterycje8BI0VniasAAGV4YW1wbGVzaWc' } },
  anyQuery: true,
  errors: ['NOT_FOUND'],
  failures: [],
  responses: [{ status: 302, description: 'Where the link leads.', headers: { Location: 'The target.' } }],
  handle: async ({ params }, call) => {
    const click = readClickToken(call.linkKeys, params.token ?? '');
    // Checked when it was written; a key that has leaked must still not make it a script.
    if (click === undefined || !/^https?:\/\//i.test(click.url)) throw notFound();
    recordVisit(call, EngagementKind.ENGAGEMENT_KIND_CLICKED, click.holder, click.url);
    return { status: 302, headers: { Location: new URL(click.url).href, 'Cache-Control': 'no-store, private' } };
  },
});
