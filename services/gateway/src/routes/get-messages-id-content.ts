// GET /v1/messages/:id/content: the MIME of a message, as it was frozen, frame by frame.
import { notFound } from '../errors.ts';
import { exampleMime } from '../message-examples.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

const deadlineMs = 60_000;

export const getMessagesIdContent = defineRoute({
  method: 'GET',
  path: '/v1/messages/:id/content',
  operationId: 'getMessageContent',
  tag: 'Messages',
  summary: 'The message’s MIME',
  description: 'As it was frozen when the message was accepted: without the signatures and trace headers that are added on the way.',
  scopes: ['read', 'send', 'full'],
  params: messageIdParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The bytes of the message.', contentType: 'message/rfc822', example: exampleMime }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const id = pathId('msg', params);
    const frames = peers.messaging.getContent({ id }, { tenantId: principal.tenantId, requestId, signal, deadlineMs });
    // The first frame decides the status: once the head is out, no error can be told any more.
    const first = await frames.next();
    if (first.done) throw notFound();
    return { status: 200, content: { contentType: 'message/rfc822', stream: bytesOf(first.value, frames) } };
  },
});

async function* bytesOf(
  first: { data: Uint8Array },
  rest: AsyncIterableIterator<{ data: Uint8Array }>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield first.data;
    for await (const { data } of rest) yield data;
  } finally {
    // Where nobody wants the rest, the call is over.
    await rest.return?.();
  }
}
