// GET /v1/templates/:id: a template with one of its versions.
import { z } from 'zod';
import { integerField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { templateName, templateParams } from '../template-input.ts';
import { exampleTemplate, templateJson, templateSchema } from '../template-json.ts';

export const getTemplatesId = defineRoute({
  method: 'GET',
  path: '/v1/templates/:id',
  operationId: 'getTemplate',
  tag: 'Templates',
  summary: 'One template with its source',
  scopes: ['read', 'full'],
  params: templateParams,
  query: z.strictObject({
    version: integerField(0, 2 ** 31 - 1, 0, 'Which version; 0: the published one, or the newest where none is published.'),
  }),
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The template.', schema: templateSchema, example: exampleTemplate }],
  handle: async ({ params, query }, { peers, principal, requestId, signal }) => {
    const { template } = await peers.templates.getTemplate(
      { id: templateName(params), version: query.version },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, templateJson(template));
  },
});
