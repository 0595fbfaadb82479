// A template as the API takes it: its names and limits, all that is wrong with them at once. template checks them again behind it, and says
// with line and column what is wrong with the sources.
import { RpcError } from '@maildoot/rpc/errors';
import { z } from 'zod';
import { notFound, validationError } from './errors.ts';
import { exampleIds } from './examples.ts';
import { besideOthersThan, type Context, refuse } from './schema-parts.ts';
import { isTemplateName } from './template-fields.ts';

const maxSourceChars = 512 * 1024;
/** Two bodies in their widest JSON, and the rest. */
export const maxTemplateBodyBytes = 7 * 1024 * 1024;

const aliasPattern = /^([A-Za-z0-9][A-Za-z0-9._-]*)?$/;

export const templateNames = {
  name: z
    .string()
    .min(1)
    .max(255)
    .refine((text) => text === '' || (text.trim() !== '' && !/[\p{Cc}\p{Cs}]/u.test(text)), {
      params: { code: 'invalid_name' },
      error: 'A name is more than spaces and has no control characters.',
    })
    .meta({ description: 'For people.' }),
  alias: z
    .string()
    .max(100)
    // An alias never looks like an id: one of the two would be in the way of the other.
    .refine((text) => aliasPattern.test(text) && !text.startsWith('tpl_'), {
      params: { code: 'invalid_alias' },
      error: 'An alias has letters, digits, dots, hyphens and underscores, begins with a letter or digit, and not with tpl_.',
    })
    .meta({
      pattern: aliasPattern.source,
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
/** Of a template that is new. */
export const someContent = z.superRefine(
  ({ html, text }: { html?: string | null | undefined; text?: string | null | undefined }, context: Context) => {
    if (!html && !text) refuse(context, { html, text }, 'content_required', 'Give html or text, or both.', ['html']);
  },
  besideOthersThan('html', 'text'),
);
export const draftField = z.boolean().meta({ description: 'The new version is not published: messages go on with the one that is.' });

export const templateParams = { id: { description: 'The id of the template, or its alias.', example: exampleIds.template } };

/** The template of the path is there, the version of the body is not: that is a problem of the body. */
export async function ofVersion<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    const issues = error instanceof RpcError ? error.detail.issues.filter(({ code }) => code === 'unknown_version') : [];
    if (issues.length > 0) throw validationError(issues);
    throw error;
  }
}

/** @throws ApiError NOT_FOUND for what can be neither */
export function templateName({ id = '' }: Readonly<Record<string, string>>): string {
  if (!isTemplateName(id)) throw notFound();
  return id;
}
