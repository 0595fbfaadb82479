// GET /t/o/:token: the picture of one dot that tells that somebody opened a message. Whoever asks gets the picture, whatever the token says:
// an answer that told good from bad would be of use to nobody but those who guess.

import { readLinkToken } from '@maildoot/mail/tracking-token';
import { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { defineOpenRoute } from '../route.ts';
import { recordVisit } from '../visit.ts';

// A GIF of one transparent dot.
const dot = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

export const getTOToken = defineOpenRoute({
  method: 'GET',
  path: '/t/o/:token',
  operationId: 'trackOpen',
  tag: 'Tracking',
  summary: 'The picture in a tracked message',
  description: 'Asked for by mail programs. Always answers with a picture of one dot.',
  params: { token: { description: 'Names the recipient; signed.', example: 'AZLwoBwterycje8BI0VniasAAGV4YW1wbGVzaWc' } },
  anyQuery: true,
  errors: [],
  failures: [],
  responses: [{ status: 200, description: 'A picture of one dot.', contentType: 'image/gif' }],
  handle: async ({ params }, call) => {
    const holder = readLinkToken(call.linkKeys, 'open', params.token ?? '');
    if (holder !== undefined) recordVisit(call, EngagementKind.ENGAGEMENT_KIND_OPENED, holder, '');
    return { status: 200, headers: { 'Cache-Control': 'no-store, private' }, content: { bytes: dot, contentType: 'image/gif' } };
  },
});
