// POST /v1/auth/password/reset: mail with a one-time link, where the address has an account. The answer is the same where it has none.
import { z } from 'zod';
import { defineOpenRoute } from '../route.ts';
import { emailText, originOf } from '../session-json.ts';

const wish = z.strictObject({ email: emailText }).meta({ id: 'PasswordResetInput' });

export const postAuthPasswordReset = defineOpenRoute({
  method: 'POST',
  path: '/v1/auth/password/reset',
  operationId: 'requestPasswordReset',
  tag: 'Auth',
  summary: 'Ask for a link to a new password',
  description: 'Mail with a link that works once, for an hour, goes to the address if it has an account. The answer does not tell.',
  withoutIdempotencyKey: 'the request may be repeated, and the answer is the same for everybody.',
  body: {
    schema: wish,
    maxBytes: 16 * 1024,
    examples: [{ summary: 'Your address', value: { email: 'ada@example.com' } }],
  },
  errors: ['RATE_LIMITED'],
  responses: [{ status: 204, description: 'Taken.' }],
  handle: async ({ body }, call) => {
    await call.peers.auth.requestPasswordReset(
      { email: body.email, origin: originOf(call), publicUrl: call.publicUrl },
      { requestId: call.requestId },
    );
    return { status: 204 };
  },
});
