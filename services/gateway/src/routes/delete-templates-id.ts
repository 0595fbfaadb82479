// DELETE /v1/templates/:id: the template with all its versions. What was accepted with it is sent as it is.
import { defineRoute } from '../route.ts';
import { templateName, templateParams } from '../template-input.ts';

export const deleteTemplatesId = defineRoute({
  method: 'DELETE',
  path: '/v1/templates/:id',
  operationId: 'deleteTemplate',
  tag: 'Templates',
  summary: 'Delete a template',
  description: 'With all its versions. Messages that were accepted with it, scheduled ones too, are sent as they are.',
  scopes: ['full'],
  params: templateParams,
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'It is gone.' }],
  handle: async ({ params }, { peers, principal, requestId }) => {
    await peers.templates.deleteTemplate({ id: templateName(params) }, { tenantId: principal.tenantId, requestId });
    return { status: 204 };
  },
});
