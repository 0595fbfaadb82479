// How a message says which template it is made of, and with what.
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { isObject, refuse } from './schema-parts.ts';

const maxVariablesBytes = 256 * 1024;
const maxVersion = 2 ** 31 - 1;
/** As template-rules.ts of template has it; what can be neither id nor alias names nothing. */
const name = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export function isTemplateName(text: string): boolean {
  return name.test(text);
}

export const templateId = z
  .string()
  .transform((text, context) =>
    isTemplateName(text) ? text : refuse(context, text, 'unknown_template', 'This must be the id of a template, tpl_…, or its alias.'),
  )
  .meta({
    description: 'A template of yours, by id or alias, in place of `subject`, `html` and `text`.',
    pattern: name.source,
    examples: ['order-confirmed'],
  });

export const templateVersion = z.int().min(1).max(maxVersion).meta({ description: 'One of its versions; by default the published one.' });

/** Its output is JSON in UTF-8, as the template service takes it. */
export const variables = z
  .preprocess(
    (value, context) => {
      // zod's records leave this one name out without a word.
      if (isObject(value) && Object.hasOwn(value as object, '__proto__'))
        refuse(context, value, 'invalid_name', 'The name __proto__ can’t be used.', ['__proto__']);
      return value;
    },
    z.record(z.string(), z.unknown()),
  )
  .transform((record, context) => {
    const bytes = Buffer.from(JSON.stringify(record));
    if (bytes.length > maxVariablesBytes)
      return refuse(context, record, 'too_large', `Variables have at most ${maxVariablesBytes / 1024} KB as JSON.`);
    return isUtf8(bytes) ? bytes : refuse(context, record, 'control_character', 'Halves of surrogate pairs are not allowed.');
  })
  .meta({ description: 'What the template fills in, at most 256 KB.', examples: [{ name: 'Ada', order: { number: 4711 } }] });
