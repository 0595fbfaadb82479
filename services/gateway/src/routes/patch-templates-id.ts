// PATCH /v1/templates/:id: other names, a next version, or both.
import { z } from 'zod';
import { defineRoute, json } from '../route.ts';
import { draftField, maxTemplateBodyBytes, templateName, templateNames, templateParams, templateSource } from '../template-input.ts';
import { exampleTemplate, templateJson, templateSchema } from '../template-json.ts';

const deadlineMs = 12_000;

export const patchTemplatesId = defineRoute({
  method: 'PATCH',
  path: '/v1/templates/:id',
  operationId: 'updateTemplate',
  tag: 'Templates',
  summary: 'Change a template',
  description:
    'Versions never change: `subject`, `html` or `text` make a new one, with what is not given taken over from the newest, and publish it unless `draft` is true. `name` and `alias` alone make none.',
  scopes: ['full'],
  params: templateParams,
  body: {
    schema: z
      .strictObject({
        name: templateNames.name.optional(),
        alias: templateNames.alias.nullable().optional(),
        subject: templateSource.subject.nullish(),
        html: templateSource.html.nullable().optional(),
        text: templateSource.text.nullable().optional(),
        draft: draftField.nullish(),
      })
      .meta({ id: 'TemplateChange' }),
    maxBytes: maxTemplateBodyBytes,
    examples: [{ summary: 'A next version', value: { html: '<p>Thank you very much, {{ name }}!</p>', draft: true } }],
  },
  errors: ['NOT_FOUND', 'TEMPLATE_ERROR', 'CONFLICT'],
  responses: [{ status: 200, description: 'The template with its newest version.', schema: templateSchema, example: exampleTemplate }],
  handle: async ({ params, body }, { peers, principal, requestId }) => {
    const { name, alias, subject, html, text, draft } = body;
    const { template } = await peers.templates.updateTemplate(
      {
        id: templateName(params),
        name,
        alias: given(alias),
        subject: given(subject),
        html: given(html),
        text: given(text),
        draft: draft ?? false,
      },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    return json(200, templateJson(template));
  },
});

/** null takes it away. */
function given(value: string | null | undefined): string | undefined {
  return value === null ? '' : value;
}
