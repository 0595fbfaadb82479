// POST /v1/user-settings/suppressions: one address that is not to be written to.
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSuppression, newSuppression, suppressionInput, suppressionJson, suppressionSchema } from '../suppression-json.ts';

export const postUserSettingsSuppressions = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/suppressions',
  operationId: 'createSuppression',
  tag: 'Suppressions',
  summary: 'Suppress an address',
  description: 'Nothing of the stream goes to it any more. An address that is on the list already stays as it is, and is answered.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: suppressionInput,
    maxBytes: 64 * 1024,
    examples: [{ summary: 'An address', value: { email: 'user@example.com', stream: 'broadcast' } }],
  },
  errors: [],
  responses: [
    {
      status: 201,
      description: 'The entry.',
      schema: suppressionSchema,
      example: { ...exampleSuppression, reason: 'manual', message_id: null },
    },
  ],
  handle: async ({ body, idempotencyKey }, { peers, principal, requestId }) => {
    const { suppressions, replayed } = await peers.messaging.addSuppressions(
      {
        suppressions: [newSuppression(body)],
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId },
    );
    const [one] = suppressions;
    if (one === undefined) throw internalError(new Error('messaging added a suppression and did not describe it'));
    return json(201, suppressionJson(one), replayedHeader(replayed));
  },
});
