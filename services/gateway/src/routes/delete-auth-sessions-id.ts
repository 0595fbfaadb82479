// DELETE /v1/auth/sessions/:id: ends one of the user's sessions.
import { exampleIds } from '../examples.ts';
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

export const deleteAuthSessionsId = defineRoute({
  method: 'DELETE',
  path: '/v1/auth/sessions/:id',
  operationId: 'endSession',
  tag: 'Auth',
  summary: 'End one of your sessions',
  scopes: ['read', 'full'],
  credentials: ['session'],
  whileSuspended: true,
  params: { id: { description: 'The id of the session.', example: exampleIds.session } },
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'It has ended.' }],
  handle: async ({ params }, { address, peers, principal, requestId }) => {
    const { userId, tenantId } = principal;
    await peers.auth.endSessions({ userId, sessionId: pathId('ses', params), keepSessionId: '', address }, { tenantId, requestId });
    return { status: 204 };
  },
});
