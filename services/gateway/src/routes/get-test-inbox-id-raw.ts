// GET /v1/test/inbox/:id/raw: a captured mail's bytes, as they came over the wire.
import { exampleIds } from '../examples.ts';
import { exampleMime } from '../message-examples.ts';
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

const deadlineMs = 30_000;

export const getTestInboxIdRaw = defineRoute({
  method: 'GET',
  path: '/v1/test/inbox/:id/raw',
  operationId: 'getCapturedMailRaw',
  tag: 'Test inbox',
  summary: 'A captured mail’s bytes',
  description: 'As they came over the wire, signature included.',
  scopes: ['read', 'full'],
  params: { id: { description: 'The id in the list.', example: exampleIds.captured } },
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The bytes of the mail.', contentType: 'message/rfc822', example: exampleMime }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const { raw } = await peers.delivery.getCapturedMail(
      { id: pathId('cap', params) },
      { tenantId: principal.tenantId, requestId, signal, deadlineMs },
    );
    return { status: 200, content: { bytes: raw, contentType: 'message/rfc822' } };
  },
});
