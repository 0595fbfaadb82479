// GetContent: the MIME of one message for its tenant, in frames.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { framesOf } from '../content.ts';
import { errors, noSuchMessage } from '../errors.ts';
import type { ContentStore } from '../store/content.ts';
import type { MessageStore } from '../store/messages.ts';
import { messageUuid, serverStream, tenantOf } from './door.ts';

export function getContent({ contents, messages }: { contents: ContentStore; messages: MessageStore }) {
  return serverStream<typeof MessagingServiceService.getContent>(['gateway'], async function* (request, call) {
    const [tenantId, id] = [tenantOf(call), messageUuid(request.id)];
    for await (const { chunks } of contents.read([id], tenantId)) {
      if (chunks !== undefined) for await (const { data } of framesOf(chunks)) yield { data };
      else if ((await messages.find(tenantId, id)) === undefined) throw noSuchMessage();
      else throw errors.NOT_FOUND({ message: 'The content of this message is not kept any more.' });
    }
  });
}
