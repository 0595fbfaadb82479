// GET /u/:token: what an unsubscribe link is about, with a button. Changes nothing: programs follow links (RFC 8058 section 1).
import { readLinkToken } from '@maildoot/mail/tracking-token';
import { uuidToId } from '@maildoot/runtime/ids';
import { notFound } from '../errors.ts';
import { defineOpenRoute } from '../route.ts';
import { askPage } from '../unsubscribe-page.ts';

export const tokenParam = { token: { description: 'Names the recipient; signed.', example: 'AZLwoBwterycje8BI0VniasAAGV4YW1wbGVzaWc' } };

export const getUToken = defineOpenRoute({
  method: 'GET',
  path: '/u/:token',
  operationId: 'showUnsubscribe',
  tag: 'Tracking',
  summary: 'The page behind an unsubscribe link',
  description: 'Shows what would be unsubscribed from, and changes nothing.',
  params: tokenParam,
  anyQuery: true,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The page.', contentType: 'text/html' }],
  handle: async ({ params }, { linkKeys, peers, requestId, signal }) => {
    const holder = readLinkToken(linkKeys, 'unsubscribe', params.token ?? '');
    if (holder === undefined) throw notFound();
    const { unsubscribed, ...about } = await peers.messaging.getUnsubscription(
      { messageId: uuidToId('msg', holder.messageId), recipientNumber: holder.recipientNumber },
      { requestId, signal },
    );
    return askPage(about, unsubscribed);
  },
});
