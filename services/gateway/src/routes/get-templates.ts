// GET /v1/templates: the tenant's templates, newest first, without their sources.
import { z } from 'zod';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { exampleTemplateSummary, templateSummaryJson, templateSummarySchema } from '../template-json.ts';

export const getTemplates = defineRoute({
  method: 'GET',
  path: '/v1/templates',
  operationId: 'listTemplates',
  tag: 'Templates',
  summary: 'List templates',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('tpl') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of templates.',
      schema: listSchema('TemplateList', templateSummarySchema),
      example: { data: [exampleTemplateSummary], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.templates.listTemplates(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('tpl', page.templates.map(templateSummaryJson), page.hasMore ? page.templates.at(-1)?.id : undefined));
  },
});
