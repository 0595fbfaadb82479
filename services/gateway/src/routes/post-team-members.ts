// POST /v1/team/members: invites somebody by mail.
import { normaliseEmail } from '@maildoot/mail/address';
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { emailText, exampleMember, memberJson, memberRoles, memberSchema, roles } from '../session-json.ts';

const invitation = z
  .strictObject({
    email: emailText
      .refine((text) => normaliseEmail(text) !== undefined, {
        params: { code: 'invalid_email' },
        error: 'This must be an address like name@example.com.',
      })
      .meta({ format: 'idn-email', examples: ['bob@example.com'] }),
    role: z.enum(memberRoles).meta({
      description: '`owner`: everything. `member`: everything but members and full keys. `viewer`: every GET.',
    }),
  })
  .meta({ id: 'MemberInput' });

export const postTeamMembers = defineRoute({
  method: 'POST',
  path: '/v1/team/members',
  operationId: 'inviteMember',
  tag: 'Team',
  summary: 'Invite a member',
  description:
    'Mail with a link to choose a password goes to the address; the link works for 7 days. Nobody is a member of two accounts: who is one of another is told so by the mail, and the answer does not tell. A member of this one is a `CONFLICT`.',
  scopes: ['full'],
  ownersOnly: true,
  idempotent: true,
  body: {
    schema: invitation,
    maxBytes: 16 * 1024,
    examples: [{ summary: 'Somebody who only looks', value: { email: 'bob@example.com', role: 'viewer' } }],
  },
  errors: ['CONFLICT'],
  responses: [
    {
      status: 201,
      description: 'Invited.',
      schema: memberSchema,
      example: { ...exampleMember, email: 'bob@example.com', role: 'viewer', status: 'invited', last_login_at: null },
    },
  ],
  handle: async ({ body, idempotencyKey }, { address, peers, principal, publicUrl, requestId }) => {
    const { member, replayed } = await peers.auth.inviteMember(
      {
        email: body.email,
        role: roles.valueOf(body.role) ?? 0,
        publicUrl,
        actorId: principal.credentialId,
        address,
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (member === undefined) throw internalError(new Error('auth invited somebody and did not say whom'));
    return json(201, memberJson(member), replayedHeader(replayed));
  },
});
