// POST /v1/templates/:id/publish: makes a version the one that is sent.
import { z } from 'zod';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { templateVersion } from '../template-fields.ts';
import { ofVersion, templateName, templateParams } from '../template-input.ts';
import { exampleTemplate, templateJson, templateSchema } from '../template-json.ts';

export const postTemplatesIdPublish = defineRoute({
  method: 'POST',
  path: '/v1/templates/:id/publish',
  operationId: 'publishTemplate',
  tag: 'Templates',
  summary: 'Publish a version',
  description: 'Messages are made of it from then on. An older version may be published again: that is how to go back.',
  scopes: ['full'],
  idempotent: true,
  params: templateParams,
  body: {
    schema: z
      .strictObject({ version: templateVersion.optional().meta({ description: 'By default the newest one.' }) })
      .meta({ id: 'TemplatePublication' }),
    maxBytes: 64 * 1024,
    optional: true,
    examples: [
      { summary: 'A certain version', value: { version: 1 } },
      { summary: 'The newest', value: {} },
    ],
  },
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'The template with the version that is published now.',
      schema: templateSchema,
      example: exampleTemplate,
    },
  ],
  handle: async ({ params, body, idempotencyKey }, { peers, principal, requestId }) => {
    const id = templateName(params);
    const { template, replayed } = await ofVersion(
      peers.templates.publishTemplate(
        {
          id,
          version: body.version ?? 0,
          ...repeatableFields(idempotencyKey, { id, ...body }),
        },
        { tenantId: principal.tenantId, requestId },
      ),
    );
    return json(200, templateJson(template), replayedHeader(replayed));
  },
});
