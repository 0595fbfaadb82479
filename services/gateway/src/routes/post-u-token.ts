// POST /u/:token: unsubscribes with one click (RFC 8058 section 3.2): no cookie, no login, no redirect. What the body says doesn't matter:
// mailbox providers send `List-Unsubscribe=One-Click`, our own page nothing.
import { readLinkToken } from '@maildoot/mail/tracking-token';
import { uuidToId } from '@maildoot/runtime/ids';
import { notFound } from '../errors.ts';
import { defineOpenRoute } from '../route.ts';
import { donePage } from '../unsubscribe-page.ts';
import { userAgentOf } from '../visit.ts';
import { tokenParam } from './get-u-token.ts';

export const postUToken = defineOpenRoute({
  method: 'POST',
  path: '/u/:token',
  operationId: 'unsubscribe',
  tag: 'Tracking',
  summary: 'Unsubscribe with one click',
  description: 'RFC 8058. Nothing of the message’s group, or of its stream, goes to the recipient any more. Any body is taken.',
  params: tokenParam,
  anyQuery: true,
  withoutIdempotencyKey: 'being unsubscribed twice is the same as once.',
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'Unsubscribed, now or before.', contentType: 'text/html' }],
  handle: async ({ params }, call) => {
    const { linkKeys, peers, requestId } = call;
    const holder = readLinkToken(linkKeys, 'unsubscribe', params.token ?? '');
    if (holder === undefined) throw notFound();
    const about = await peers.messaging.unsubscribe(
      {
        messageId: uuidToId('msg', holder.messageId),
        recipientNumber: holder.recipientNumber,
        userAgent: userAgentOf(call),
      },
      { requestId },
    );
    return donePage(about);
  },
});
