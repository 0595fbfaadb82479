// DELETE /v1/user-settings/suppressions/:email: the account writes to an address again.
import { normaliseEmail } from '@maildoot/mail/address';
import { z } from 'zod';
import { notFound } from '../errors.ts';
import { textField } from '../query.ts';
import { defineRoute } from '../route.ts';

export const deleteUserSettingsSuppressionsEmail = defineRoute({
  method: 'DELETE',
  path: '/v1/user-settings/suppressions/:email',
  operationId: 'deleteSuppression',
  tag: 'Suppressions',
  summary: 'Take an address off the list',
  description:
    'Off all streams, or off the one that `stream` names. Who has complained or unsubscribed should not be written to again without asking.',
  scopes: ['full'],
  params: { email: { description: 'The address, percent-encoded.', example: 'user@example.com' } },
  query: z.strictObject({ stream: textField('Of this stream or group only.', 64) }),
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'It is off the list.' }],
  handle: async ({ params, query }, { peers, principal, requestId }) => {
    const email = normaliseEmail(params.email ?? '');
    if (email === undefined) throw notFound();
    await peers.messaging.deleteSuppression({ email, stream: query.stream ?? '' }, { tenantId: principal.tenantId, requestId });
    return { status: 204 };
  },
});
