// ListEvents: the tenant's feed, oldest first; waits for the first event when asked to.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { errors } from '../errors.ts';
import type { Feed, FeedPage } from '../feed.ts';
import type { FeedNews } from '../feed-news.ts';
import { tenantOf, unary } from './door.ts';

const defaultLimit = 20;
const maxLimit = 100;
const maxWaitMs = 60_000;
// The answer has to be on its way before the caller gives up.
const marginMs = 250;
// What the gateway's JSON can hold; no position comes near it before the year 2248.
const maxPosition = BigInt(Number.MAX_SAFE_INTEGER);

export function listEvents({ feed, news }: { feed: Feed; news: FeedNews }) {
  return unary<typeof MessagingServiceService.listEvents>(['gateway'], async (request, call) => {
    const tenantId = tenantOf(call);
    const { after } = request;
    if (after > maxPosition) throw errors.VALIDATION_ERROR({ message: 'after is no position of a feed.' });
    const limit = Math.min(request.limit || defaultLimit, maxLimit);
    const untilMs = Math.min(Date.now() + Math.min(request.waitMs, maxWaitMs), call.deadline.getTime() - marginMs);
    for (let from = after; ; ) {
      const page: FeedPage = await feed.page(tenantId, from, limit);
      const leftMs = untilMs - Date.now();
      // A page of nothing but what is gone leads on to the next one.
      if (page.events.length > 0 || (!page.more && (leftMs <= 0 || call.signal.aborted || news.closed))) {
        return { events: page.events, nextAfter: page.next, hasMore: page.more };
      }
      from = page.next;
      if (!page.more) await news.next(tenantId, from, leftMs, call.signal);
    }
  });
}
