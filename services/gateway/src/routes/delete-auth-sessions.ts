// DELETE /v1/auth/sessions: ends all of the user's sessions, or all others.
import { z } from 'zod';
import { defineRoute } from '../route.ts';

const wholeOrOthers = z.strictObject({
  keep_current: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: '`true`: all but the one that asks.', examples: ['true'] }),
});

export const deleteAuthSessions = defineRoute({
  method: 'DELETE',
  path: '/v1/auth/sessions',
  operationId: 'endSessions',
  tag: 'Auth',
  summary: 'End all your sessions',
  scopes: ['read', 'full'],
  credentials: ['session'],
  whileSuspended: true,
  query: wholeOrOthers,
  errors: [],
  responses: [{ status: 204, description: 'They have ended.' }],
  handle: async ({ query }, { address, peers, principal, requestId }) => {
    const { userId, sessionId, tenantId } = principal;
    const keepSessionId = query.keep_current === 'true' ? sessionId : '';
    await peers.auth.endSessions({ userId, sessionId: '', keepSessionId, address }, { tenantId, requestId });
    return { status: 204 };
  },
});
