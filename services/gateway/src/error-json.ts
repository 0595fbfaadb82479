// The one shape of an error, as a schema; errors.ts makes the values.
import { z } from 'zod';
import { type ErrorCode, errorBody, errorTable } from './errors.ts';
import { exampleIds } from './examples.ts';
import type { Issue } from './issues.ts';

const codes = Object.keys(errorTable) as [ErrorCode, ...ErrorCode[]];

const issueSchema = z
  .strictObject({
    path: z.string().meta({ description: 'Where, as it was written: `to[1].email`. Empty for the whole.' }),
    code: z.string().meta({ description: 'A word for programs: `invalid_email`.' }),
    message: z.string(),
    line: z.int().optional().meta({ description: 'Of a template: where in its source, from 1.' }),
    column: z.int().optional(),
  })
  .meta({ id: 'Issue' });

export const errorSchema = z
  .strictObject({
    error: z.strictObject({
      code: z.enum(codes),
      message: z.string().meta({ description: 'What is wrong and what to do.' }),
      request_id: z.string(),
      issues: z.array(issueSchema).optional().meta({ description: 'Every problem of the request at once.' }),
      docs: z.string(),
    }),
  })
  .meta({ id: 'Error' });

const exampleIssues: Partial<Record<ErrorCode, Issue[]>> = {
  VALIDATION_ERROR: [{ path: 'replyTo', code: 'unknown_field', message: 'This field is not known. Did you mean reply_to?' }],
  TEMPLATE_ERROR: [{ path: 'html', code: 'syntax', message: 'Tag {% if note %} not closed.', line: 3, column: 14 }],
  MISSING_VARIABLES: [{ path: 'variables.name', code: 'missing', message: 'The template needs the variable name.' }],
};

/** An answer with this code, for the reference. */
export function exampleError(code: ErrorCode, publicUrl: string): z.input<typeof errorSchema> {
  const issues = exampleIssues[code] ?? [];
  const body = errorBody({ code, message: errorTable[code].meaning, issues }, exampleIds.request, publicUrl);
  return { error: { ...body.error, ...(body.error.issues === undefined ? {} : { issues: [...body.error.issues] }) } } as z.input<
    typeof errorSchema
  >;
}
