// A template as the API takes it. Which aliases there may be and what the sources must be is template's to say, with line and column; here
// stand the types and the limits.
import { z } from 'zod';
import { notFound } from './errors.ts';
import { exampleIds } from './examples.ts';
import { isTemplateName } from './template-fields.ts';

const maxSourceChars = 512 * 1024;
/** Two bodies in their widest JSON, and the rest. */
export const maxTemplateBodyBytes = 7 * 1024 * 1024;

export const templateNames = {
  name: z.string().min(1).max(255).meta({ description: 'For people.' }),
  alias: z
    .string()
    .max(100)
    .meta({
      pattern: '^([A-Za-z0-9][A-Za-z0-9._-]*)?$',
      description: 'Letters, digits, dots, hyphens and underscores; stands for the id everywhere.',
      examples: ['order-confirmed'],
    }),
};
export const templateSource = {
  subject: z.string().max(4096).meta({ description: 'Liquid; what comes of it is one line of at most 998 characters.' }),
  html: z
    .string()
    .max(maxSourceChars)
    .meta({ description: 'Liquid; what is filled in is HTML-escaped unless the filter `raw` says otherwise.' }),
  text: z
    .string()
    .max(maxSourceChars)
    .meta({ description: 'Liquid; filled in as it is. Without it the text of a message is made from its HTML.' }),
};
export const draftField = z.boolean().meta({ description: 'The new version is not published: messages go on with the one that is.' });

export const templateParams = { id: { description: 'The id of the template, or its alias.', example: exampleIds.template } };

/** @throws ApiError NOT_FOUND for what can be neither */
export function templateName({ id = '' }: Readonly<Record<string, string>>): string {
  if (!isTemplateName(id)) throw notFound();
  return id;
}
