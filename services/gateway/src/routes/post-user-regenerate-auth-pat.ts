// POST /v1/user/regenerate_auth_pat: another personal access token, or the first; the one before it ends at once.
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute } from '../route.ts';
import { aboutMe } from '../user-json.ts';

export const postUserRegenerateAuthPat = defineRoute({
  method: 'POST',
  path: '/v1/user/regenerate_auth_pat',
  operationId: 'regenerateUserAuthPat',
  tag: 'User',
  summary: 'Make a new personal access token',
  description:
    'The one before it stops working everywhere at once, also as the credential of this request; within 5 seconds where a part of the platform can’t be reached. Read the new one at `GET /v1/user/settings`. An API key regenerates that of the account’s first owner.',
  scopes: ['full'],
  unlimitedKeysOnly: true,
  idempotent: true,
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'Made.' }],
  handle: async ({ idempotencyKey }, { peers, principal, address, requestId }) => {
    const me = aboutMe(principal, address);
    const { replayed } = await peers.auth.regeneratePersonalAccessToken(
      {
        ...me,
        ...repeatableFields(idempotencyKey, { userId: me.userId }),
      },
      { tenantId: principal.tenantId, requestId },
    );
    const headers = replayedHeader(replayed);
    return { status: 204, ...(headers && { headers }) };
  },
});
