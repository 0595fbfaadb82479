// GET /v1/test/inbox/:id: one captured mail.
import { capturedMailJson, capturedMailSchema, exampleCapturedMail } from '../captured-mail-json.ts';
import { notFound } from '../errors.ts';
import { exampleIds } from '../examples.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const getTestInboxId = defineRoute({
  method: 'GET',
  path: '/v1/test/inbox/:id',
  operationId: 'getCapturedMail',
  tag: 'Test inbox',
  summary: 'One captured mail',
  scopes: ['read', 'full'],
  params: { id: { description: 'The id in the list.', example: exampleIds.captured } },
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The mail.', schema: capturedMailSchema, example: exampleCapturedMail }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const { mail } = await peers.delivery.getCapturedMail(
      { id: pathId('cap', params) },
      { tenantId: principal.tenantId, requestId, signal },
    );
    if (mail === undefined) throw notFound();
    return json(200, capturedMailJson(mail));
  },
});
