// GET /v1/templates/:id/versions: the versions of a template, newest first.
import { z } from 'zod';
import { listSchema } from '../list-json.ts';
import { limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { refuse } from '../schema-parts.ts';
import { templateName, templateParams } from '../template-input.ts';
import { exampleVersion, versionJson, versionSchema } from '../template-json.ts';

// Versions have numbers, so a place among them is one.
const cursor = z
  .string()
  .transform((text, context) => {
    const number = /^v([1-9]\d{0,9})$/.exec(Buffer.from(text, 'base64url').toString('latin1'))?.[1];
    return number !== undefined && cursorAfter(Number(number)) === text && Number(number) < 2 ** 31
      ? Number(number)
      : refuse(context, text, 'invalid_cursor', 'This is not a next_cursor of this list.');
  })
  .optional()
  .meta({ description: 'The `next_cursor` of the page before.' });

function cursorAfter(number: number): string {
  return Buffer.from(`v${number}`, 'latin1').toString('base64url');
}

export const getTemplatesIdVersions = defineRoute({
  method: 'GET',
  path: '/v1/templates/:id/versions',
  operationId: 'listTemplateVersions',
  tag: 'Templates',
  summary: 'List the versions of a template',
  scopes: ['read', 'full'],
  params: templateParams,
  query: z.strictObject({ limit: limitField(), cursor }),
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'A page of versions, newest first.',
      schema: listSchema('TemplateVersionList', versionSchema),
      example: { data: [exampleVersion], next_cursor: null },
    },
  ],
  handle: async ({ params, query }, { peers, principal, requestId, signal }) => {
    const { versions, hasMore, templateId } = await peers.templates.listVersions(
      { id: templateName(params), limit: query.limit, beforeNumber: query.cursor ?? 0 },
      { tenantId: principal.tenantId, requestId, signal },
    );
    const last = hasMore ? versions.at(-1)?.number : undefined;
    return json(200, {
      data: versions.map((version) => versionJson(templateId, version)),
      next_cursor: last === undefined ? null : cursorAfter(last),
    });
  },
});
