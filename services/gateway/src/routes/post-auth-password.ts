// POST /v1/auth/password: another password, by the current one.
import { z } from 'zod';
import { defineRoute } from '../route.ts';
import { newPasswordText, originOf, passwordText } from '../session-json.ts';

const change = z.strictObject({ current_password: passwordText, new_password: newPasswordText }).meta({ id: 'PasswordInput' });

export const postAuthPassword = defineRoute({
  method: 'POST',
  path: '/v1/auth/password',
  operationId: 'changePassword',
  tag: 'Auth',
  summary: 'Change your password',
  description: 'A password has at least 10 characters. Your other sessions end.',
  scopes: ['read', 'full'],
  credentials: ['session'],
  whileSuspended: true,
  withoutIdempotencyKey:
    'a password is never kept, not even to compare a repeated request with. The second time the current password is another one.',
  body: {
    schema: change,
    maxBytes: 16 * 1024,
    examples: [
      {
        summary: 'The current one and the next',
        value: { current_password: 'correct horse battery staple', new_password: 'a quiet river in november' },
      },
    ],
  },
  errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED', 'NOT_FOUND'],
  responses: [{ status: 204, description: 'Changed.' }],
  handle: async ({ body }, call) => {
    const { userId, sessionId, tenantId } = call.principal;
    await call.peers.auth.changePassword(
      {
        userId,
        currentPassword: body.current_password,
        newPassword: body.new_password,
        keepSessionId: sessionId,
        origin: originOf(call),
      },
      { tenantId, requestId: call.requestId },
    );
    return { status: 204 };
  },
});
