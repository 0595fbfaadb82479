// POST /v1/templates/:id/preview: what would be sent.
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { exampleIds } from '../examples.ts';
import { defineRoute, json } from '../route.ts';
import { templateVersion, variables } from '../template-fields.ts';
import { ofVersion, templateName, templateParams } from '../template-input.ts';

const deadlineMs = 12_000;

const previewSchema = z
  .strictObject({
    object: z.literal('template_preview'),
    template_id: z.string(),
    version: z.int(),
    subject: z.string(),
    html: z.string().nullable(),
    text: z.string().nullable().meta({ description: 'null: made from the HTML when it is sent.' }),
    missing_variables: z.array(z.string()).meta({ description: 'A message without them would be refused; here they are blank.' }),
  })
  .meta({ id: 'TemplatePreview' });

export const postTemplatesIdPreview = defineRoute({
  method: 'POST',
  path: '/v1/templates/:id/preview',
  operationId: 'previewTemplate',
  tag: 'Templates',
  summary: 'See what would be sent',
  description: 'Of the newest version, published or not, or of the one that is asked for. Nothing is sent and nothing is changed.',
  scopes: ['full'],
  params: templateParams,
  withoutIdempotencyKey: 'nothing is changed by it.',
  body: {
    schema: z
      .strictObject({
        variables: variables.optional(),
        version: templateVersion.optional().meta({ description: 'By default the newest one, published or not.' }),
      })
      .meta({ id: 'TemplatePreviewInput' }),
    maxBytes: 1024 * 1024,
    optional: true,
    examples: [{ summary: 'With variables', value: { variables: { name: 'Ada', order: { number: 4711 } } } }],
  },
  errors: ['NOT_FOUND', 'TEMPLATE_ERROR'],
  responses: [
    {
      status: 200,
      description: 'What would be sent.',
      schema: previewSchema,
      example: {
        object: 'template_preview',
        template_id: exampleIds.template,
        version: 1,
        subject: 'Order 4711 confirmed',
        html: '<p>Thank you, Ada!</p>',
        text: null,
        missing_variables: [],
      },
    },
  ],
  handle: async ({ params, body }, { peers, principal, requestId, signal }) => {
    const { rendered, missingVariables } = await ofVersion(
      peers.templates.previewTemplate(
        { id: templateName(params), version: body.version ?? 0, variablesJson: body.variables ?? Buffer.alloc(0) },
        { tenantId: principal.tenantId, requestId, signal, deadlineMs },
      ),
    );
    if (rendered === undefined) throw internalError(new Error('template previewed nothing'));
    const answer: z.input<typeof previewSchema> = {
      object: 'template_preview',
      template_id: rendered.templateId,
      version: rendered.templateVersion,
      subject: rendered.subject,
      html: rendered.html || null,
      text: rendered.text || null,
      missing_variables: missingVariables,
    };
    return json(200, answer);
  },
});
