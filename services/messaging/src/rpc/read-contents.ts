// ReadContents: the MIME of many messages, of any tenant, for delivery; one call serves one claim.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid } from '@maildoot/runtime/ids';
import { framesOf } from '../content.ts';
import { errors } from '../errors.ts';
import type { ContentStore } from '../store/content.ts';
import { serverStream } from './door.ts';

const maxIds = 1000;

export function readContents(contents: ContentStore) {
  return serverStream<typeof MessagingServiceService.readContents>(['delivery'], async function* (request) {
    if (request.ids.length > maxIds) throw errors.VALIDATION_ERROR({ message: `At most ${maxIds} messages are read in one call.` });
    const idOf = new Map(request.ids.map((id) => [idToUuid('msg', id), id]));
    const unreadable = idOf.get(undefined);
    if (unreadable !== undefined) throw errors.VALIDATION_ERROR({ message: 'One of the ids is not a message id.' });
    for await (const { messageId, chunks } of contents.read([...idOf.keys()] as string[], undefined)) {
      const id = idOf.get(messageId)!;
      if (chunks === undefined) yield { id, data: Buffer.alloc(0), last: true, missing: true };
      else for await (const { data, last } of framesOf(chunks)) yield { id, data, last, missing: false };
    }
  });
}
