// POST /v1/auth/logout: ends the session, at every door.
import { noRefreshCookie } from '../refresh-cookie.ts';
import { defineRoute } from '../route.ts';

export const postAuthLogout = defineRoute({
  method: 'POST',
  path: '/v1/auth/logout',
  operationId: 'logout',
  tag: 'Auth',
  summary: 'Log out',
  description: 'The session of the token ends everywhere at once; within 5 seconds where a part of the platform can’t be reached.',
  scopes: ['read', 'full'],
  credentials: ['session'],
  whileSuspended: true,
  withoutIdempotencyKey: 'a session ends once, however often it is asked for.',
  errors: [],
  responses: [{ status: 204, description: 'Logged out.', headers: { 'Set-Cookie': 'The cookie is gone.' } }],
  handle: async (_input, { address, peers, principal, requestId }) => {
    const { userId, sessionId, tenantId } = principal;
    await peers.auth.endSessions({ userId, sessionId, keepSessionId: '', address }, { tenantId, requestId });
    return { status: 204, headers: { 'Set-Cookie': noRefreshCookie() } };
  },
});
