// GET /v1/user-settings/smtp-users: the tenant's users of SMTP submission, newest first.
import { z } from 'zod';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSmtpUser, smtpUserJson, smtpUserSchema } from '../smtp-user-json.ts';

export const getUserSettingsSmtpUsers = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/smtp-users',
  operationId: 'listSmtpUsers',
  tag: 'SMTP',
  summary: 'List SMTP users',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('smu') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of users.',
      schema: listSchema('SmtpUserList', smtpUserSchema),
      example: { data: [exampleSmtpUser], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.auth.listSmtpUsers(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('smu', page.smtpUsers.map(smtpUserJson), page.hasMore ? page.smtpUsers.at(-1)?.id : undefined));
  },
});
