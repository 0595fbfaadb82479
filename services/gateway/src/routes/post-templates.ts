// POST /v1/templates: a template with its first version.
import { z } from 'zod';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { draftField, maxTemplateBodyBytes, someContent, templateNames, templateSource } from '../template-input.ts';
import { exampleTemplate, templateJson, templateSchema } from '../template-json.ts';

// A hostile source is looked at for as long as one may take, behind others of the same account.
const deadlineMs = 12_000;

export const postTemplates = defineRoute({
  method: 'POST',
  path: '/v1/templates',
  operationId: 'createTemplate',
  tag: 'Templates',
  summary: 'Make a template',
  description:
    'Sources are [Liquid](https://liquidjs.com): `{{ variable }}`, conditions, loops, filters, and `{% render "alias" %}` for another template of yours. ' +
    'The source is read before it is kept: errors come with line and column, and the variables that it uses are in the answer. It is published at once unless `draft` is true.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: z
      .strictObject({
        name: templateNames.name,
        alias: templateNames.alias.nullish(),
        subject: templateSource.subject.nullish(),
        html: templateSource.html.nullish(),
        text: templateSource.text.nullish(),
        draft: draftField.nullish(),
      })
      .check(someContent)
      .meta({ id: 'TemplateInput' }),
    maxBytes: maxTemplateBodyBytes,
    examples: [
      {
        summary: 'A template',
        value: {
          name: 'Order confirmed',
          alias: 'order-confirmed',
          subject: 'Order {{ order.number }} confirmed',
          html: '<p>Thank you, {{ name }}!</p>{% if note %}<p>{{ note }}</p>{% endif %}',
        },
      },
    ],
  },
  errors: ['TEMPLATE_ERROR', 'CONFLICT'],
  responses: [
    {
      status: 201,
      description: 'The template with its first version.',
      schema: templateSchema,
      example: exampleTemplate,
    },
  ],
  handle: async ({ body, idempotencyKey }, { peers, principal, requestId }) => {
    const { name, alias, subject, html, text, draft } = body;
    const { template, replayed } = await peers.templates.createTemplate(
      {
        name,
        alias: alias ?? '',
        subject: subject ?? '',
        html: html ?? '',
        text: text ?? '',
        draft: draft ?? false,
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    return json(201, templateJson(template), replayedHeader(replayed));
  },
});
