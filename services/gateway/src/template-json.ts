// Templates and their versions as the API shows them.
import type { Template, Version } from '@maildoot/proto/maildoot/template/v1/template';
import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { internalError } from './errors.ts';
import { exampleIds, exampleTime } from './examples.ts';

const variable = z
  .strictObject({
    name: z.string().meta({ description: 'As it is given; `user.name` is a member of `user`.' }),
    required: z
      .boolean()
      .meta({ description: 'A message that gives nothing at all lacks it. Others may be needed by the branch that is taken.' }),
  })
  .meta({ id: 'TemplateVariable' });

const summaryFields = {
  id: z.string(),
  object: z.literal('template'),
  name: z.string(),
  alias: z.string().nullable().meta({ description: 'A name of your own that stands for the id everywhere.' }),
  published_version: z.int().nullable().meta({ description: 'The version that is sent; null: none is.' }),
  latest_version: z.int(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
};
const sourceFields = {
  subject: z.string(),
  html: z.string().nullable(),
  text: z.string().nullable().meta({ description: 'null: made from the HTML when a message is sent.' }),
  variables: z.array(variable).meta({ description: 'What the source uses, found by reading it.' }),
};

export const templateSummarySchema = z.strictObject(summaryFields).meta({ id: 'TemplateSummary' });
export const templateSchema = z
  .strictObject({ ...summaryFields, version: z.int().meta({ description: 'The version that this source is of.' }), ...sourceFields })
  .meta({ id: 'Template' });
export const versionSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('template_version'),
    template_id: z.string(),
    version: z.int(),
    published: z.boolean(),
    ...sourceFields,
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'TemplateVersion' });

export function templateSummaryJson(template: Template): z.input<typeof templateSummarySchema> {
  return {
    id: template.id,
    object: 'template',
    name: template.name,
    alias: template.alias || null,
    published_version: template.publishedVersion || null,
    latest_version: template.latestVersion,
    created_at: timeOf(template.createdAt, template.id),
    updated_at: timeOf(template.updatedAt, template.id),
  };
}

export function templateJson(template: Template | undefined): z.input<typeof templateSchema> {
  if (template?.version === undefined) throw internalError(new Error('template answered without the template and its version'));
  return { ...templateSummaryJson(template), version: template.version.number, ...sourceJson(template.version) };
}

export function versionJson(templateId: string, version: Version): z.input<typeof versionSchema> {
  return {
    id: `${templateId}@${version.number}`,
    object: 'template_version',
    template_id: templateId,
    version: version.number,
    published: version.published,
    ...sourceJson(version),
    created_at: timeOf(version.createdAt, templateId),
  };
}

function sourceJson({ subject, html, text, variables }: Version) {
  return { subject, html: html || null, text: text || null, variables: variables.map(({ name, required }) => ({ name, required })) };
}

const exampleSource = {
  subject: 'Order {{ order.number }} confirmed',
  html: '<p>Thank you, {{ name }}!</p>{% if note %}<p>{{ note }}</p>{% endif %}',
  text: null,
  variables: [
    { name: 'order.number', required: true },
    { name: 'name', required: true },
    { name: 'note', required: false },
  ],
};

export const exampleTemplateSummary: z.input<typeof templateSummarySchema> = {
  id: exampleIds.template,
  object: 'template',
  name: 'Order confirmed',
  alias: 'order-confirmed',
  published_version: 1,
  latest_version: 1,
  created_at: exampleTime,
  updated_at: exampleTime,
};

export const exampleTemplate: z.input<typeof templateSchema> = { ...exampleTemplateSummary, version: 1, ...exampleSource };

export const exampleVersion: z.input<typeof versionSchema> = {
  id: `${exampleIds.template}@1`,
  object: 'template_version',
  template_id: exampleIds.template,
  version: 1,
  published: true,
  ...exampleSource,
  created_at: exampleTime,
};
