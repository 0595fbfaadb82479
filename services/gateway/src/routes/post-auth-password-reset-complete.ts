// POST /v1/auth/password/reset/complete: a password, by the token of a one-time link.
import { RpcError } from '@maildoot/rpc/errors';
import { z } from 'zod';
import { ApiError } from '../errors.ts';
import { defineOpenRoute } from '../route.ts';
import { newPasswordText, originOf } from '../session-json.ts';

const completion = z
  .strictObject({
    token: z.string().min(1).max(256).meta({ description: 'What stands behind `#token=` in the link.' }),
    new_password: newPasswordText,
  })
  .meta({ id: 'PasswordResetCompletion' });

export const postAuthPasswordResetComplete = defineOpenRoute({
  method: 'POST',
  path: '/v1/auth/password/reset/complete',
  operationId: 'completePasswordReset',
  tag: 'Auth',
  summary: 'Set a password by a link',
  description:
    'By the link of a reset, of an invitation or of the operator. It works once. A password has at least 10 characters. All sessions of the user end.',
  withoutIdempotencyKey: 'the link works once, and a password is never kept, not even to compare a repeated request with.',
  body: {
    schema: completion,
    maxBytes: 16 * 1024,
    examples: [
      {
        summary: 'The token and the new password',
        value: { token: 'otl_8Jx1kQ2mZr5tVw7yAb3cDe6fGh9iKl0nOpRsTuXvYzE', new_password: 'a quiet river in november' },
      },
    ],
  },
  errors: ['INVALID_TOKEN', 'RATE_LIMITED'],
  responses: [{ status: 204, description: 'Set. Log in with it.' }],
  handle: async ({ body }, call) => {
    try {
      await call.peers.auth.completePasswordReset(
        { token: body.token, newPassword: body.new_password, origin: originOf(call) },
        { requestId: call.requestId },
      );
    } catch (error) {
      if (!(error instanceof RpcError && error.code === 'INVALID_TOKEN')) throw error;
      const headers = { 'WWW-Authenticate': 'Bearer realm="maildoot", error="invalid_token"' };
      throw new ApiError('INVALID_TOKEN', 'The link is not good any more. Ask for another one.', { headers });
    }
    return { status: 204 };
  },
});
