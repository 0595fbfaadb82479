// DELETE /v1/user-settings/smtp-users/:id: ends a user of SMTP submission, in sessions that are open too.
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';
import { smtpUserParams } from '../smtp-user-json.ts';

export const deleteUserSettingsSmtpUsersId = defineRoute({
  method: 'DELETE',
  path: '/v1/user-settings/smtp-users/:id',
  operationId: 'deleteSmtpUser',
  tag: 'SMTP',
  summary: 'Delete an SMTP user',
  description: 'It stops working everywhere at once, in open sessions too; within 5 seconds where a part of the platform can’t be reached.',
  scopes: ['full'],
  params: smtpUserParams,
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'Deleted.' }],
  handle: async ({ params }, { address, peers, principal, requestId }) => {
    await peers.auth.deleteSmtpUser(
      { id: pathId('smu', params), callerLimits: principal.limits, actorId: principal.credentialId, address },
      { tenantId: principal.tenantId, requestId },
    );
    return { status: 204 };
  },
});
