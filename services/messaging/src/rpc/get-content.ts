// GetContent: the MIME of one message for its tenant, in frames.
import type { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { framesOf } from '../content.ts';
import { errors } from '../errors.ts';
import type { ContentStore } from '../store/content.ts';
import { messageUuid, serverStream, tenantOf } from './door.ts';

export function getContent(contents: ContentStore) {
  return serverStream<typeof MessagingServiceService.getContent>(['gateway'], async function* (request, call) {
    for await (const { chunks } of contents.read([messageUuid(request.id)], tenantOf(call))) {
      if (chunks === undefined) throw errors.NOT_FOUND({ message: 'There is no such message, or its content is not kept any more.' });
      for await (const { data } of framesOf(chunks)) yield { data };
    }
  });
}
