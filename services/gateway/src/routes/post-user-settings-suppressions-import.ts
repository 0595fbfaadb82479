// POST /v1/user-settings/suppressions/import: a whole list of addresses.
import { z } from 'zod';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { listOf } from '../schema-parts.ts';
import { newSuppression, suppressionInput } from '../suppression-json.ts';

const maxAtOnce = 10_000;
const deadlineMs = 15_000;

const schema = z
  .strictObject({
    object: z.literal('suppression_import'),
    added: z.int().meta({ description: 'How many are new.' }),
    known: z.int().meta({ description: 'How many were on the list, or stand twice in the request.' }),
  })
  .meta({ id: 'SuppressionImport' });

export const postUserSettingsSuppressionsImport = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/suppressions/import',
  operationId: 'importSuppressions',
  tag: 'Suppressions',
  summary: 'Suppress many addresses',
  description: 'All or none: one bad address refuses the request, and the issues say which. What is on the list already stays as it is.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: z.strictObject({ suppressions: listOf(suppressionInput, 1, maxAtOnce) }).meta({ id: 'SuppressionImportInput' }),
    maxBytes: 4 * 1024 * 1024,
    examples: [
      {
        summary: 'Two addresses',
        value: { suppressions: [{ email: 'ada@example.com' }, { email: 'bob@example.com', stream: 'broadcast', reason: 'unsubscribe' }] },
      },
    ],
  },
  errors: [],
  responses: [
    {
      status: 200,
      description: 'They are on the list.',
      schema,
      example: { object: 'suppression_import', added: 2, known: 0 },
    },
  ],
  handle: async ({ body, idempotencyKey }, { peers, principal, requestId }) => {
    const { added, replayed } = await peers.messaging.addSuppressions(
      {
        suppressions: body.suppressions.map(newSuppression),
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    const answer = { object: 'suppression_import', added, known: body.suppressions.length - added };
    return json(200, answer, replayedHeader(replayed));
  },
});
