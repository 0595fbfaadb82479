// GET /v1/user-settings/suppressions: whom the account does not write to.
import { z } from 'zod';
import { exampleCursor } from '../examples.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, emailField, limitField, textField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSuppression, suppressionJson, suppressionReason, suppressionSchema } from '../suppression-json.ts';

export const getUserSettingsSuppressions = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/suppressions',
  operationId: 'listSuppressions',
  tag: 'Suppressions',
  summary: 'List suppressions, newest first',
  description:
    'Addresses that a stream of messages does not go to. Bounces that say that a mailbox does not exist, complaints and unsubscribes add to it; failures of ours never do.',
  scopes: ['read', 'full'],
  query: z.strictObject({
    limit: limitField(),
    cursor: cursorField('sup'),
    stream: textField('Of this stream or group.', 64),
    reason: z.enum(suppressionReason.words).optional(),
    email: emailField('One address, in any case.'),
  }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of suppressions.',
      schema: listSchema('SuppressionList', suppressionSchema),
      example: { data: [exampleSuppression], next_cursor: exampleCursor },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const { limit, cursor, stream, reason, email } = query;
    const page = await peers.messaging.listSuppressions(
      {
        limit,
        afterId: cursor ?? '',
        stream: stream ?? '',
        reason: reason === undefined ? 0 : (suppressionReason.valueOf(reason) ?? 0),
        email: email ?? '',
      },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('sup', page.suppressions.map(suppressionJson), page.nextAfterId));
  },
});
