// POST /v1/user-settings/smtp-users/:id/reset-password: a new password, shown once; the old one ends at once.
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSmtpPassword, exampleSmtpUser, newSmtpUserSchema, smtpUserJson, smtpUserParams } from '../smtp-user-json.ts';

export const postUserSettingsSmtpUsersIdResetPassword = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/smtp-users/:id/reset-password',
  operationId: 'resetSmtpPassword',
  tag: 'SMTP',
  summary: 'Replace an SMTP user’s password',
  description: 'The old one stops working at once, in open sessions too.',
  scopes: ['full'],
  idempotent: true,
  params: smtpUserParams,
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'The user with its new password.',
      schema: newSmtpUserSchema,
      example: { ...exampleSmtpUser, password: exampleSmtpPassword },
    },
  ],
  handle: async ({ params, idempotencyKey }, { address, peers, principal, requestId }) => {
    const id = pathId('smu', params);
    const { smtpUser, password, replayed } = await peers.auth.resetSmtpPassword(
      {
        id,
        callerLimits: principal.limits,
        actorId: principal.credentialId,
        address,
        ...repeatableFields(idempotencyKey, { id }),
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (smtpUser === undefined) throw internalError(new Error('auth replaced a password and did not describe the user'));
    return json(200, { ...smtpUserJson(smtpUser), password }, replayedHeader(replayed));
  },
});
