// POST /v1/auth/login: a password for an access token, and a cookie to refresh it with.
import { z } from 'zod';
import { refreshCookie } from '../refresh-cookie.ts';
import { defineOpenRoute, json } from '../route.ts';
import { emailText, exampleTokens, originOf, passwordText, tokensJson, tokensSchema } from '../session-json.ts';

const credentials = z.strictObject({ email: emailText, password: passwordText }).meta({ id: 'LoginInput' });

export const postAuthLogin = defineOpenRoute({
  method: 'POST',
  path: '/v1/auth/login',
  operationId: 'login',
  tag: 'Auth',
  summary: 'Log in',
  description:
    'The access token lasts an hour. The cookie refreshes it for 7 days; it is for browsers: httpOnly, Secure, SameSite=Strict. The answer never tells whether the address or the password was wrong, and each failure after the first few makes the next try wait.',
  withoutIdempotencyKey: 'each login is a session of its own, and an answer with tokens is never kept.',
  body: {
    schema: credentials,
    maxBytes: 16 * 1024,
    examples: [{ summary: 'An address and a password', value: { email: 'ada@example.com', password: 'correct horse battery staple' } }],
  },
  errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED'],
  responses: [
    {
      status: 200,
      description: 'The session.',
      schema: tokensSchema,
      headers: { 'Set-Cookie': 'The refresh token.' },
      example: exampleTokens,
    },
  ],
  handle: async ({ body }, call) => {
    const { email, password } = body;
    const response = await call.peers.auth.login(
      { email, password, origin: originOf(call), issuer: call.publicUrl },
      { requestId: call.requestId },
    );
    const { json: value, refreshToken, refreshExpiresInS } = tokensJson(response);
    return json(200, value, { 'Set-Cookie': refreshCookie(refreshToken, refreshExpiresInS) });
  },
});
