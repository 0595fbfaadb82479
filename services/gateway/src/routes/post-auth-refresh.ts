// POST /v1/auth/refresh: the next access token, by the cookie, which is replaced. A cookie that comes a second time ends the session.
import { RpcError } from '@maildoot/rpc/errors';
import { ApiError } from '../errors.ts';
import { noRefreshCookie, refreshCookie, refreshTokenOf } from '../refresh-cookie.ts';
import { defineOpenRoute, json } from '../route.ts';
import { exampleTokens, originOf, tokensJson, tokensSchema } from '../session-json.ts';

export const postAuthRefresh = defineOpenRoute({
  method: 'POST',
  path: '/v1/auth/refresh',
  operationId: 'refreshSession',
  tag: 'Auth',
  summary: 'Refresh the access token',
  description:
    'Takes the cookie of the login and replaces it: each is good once. One that is used a second time was copied, and ends the whole session. The request has no body.',
  withoutIdempotencyKey:
    'a refresh token is good once, so a repeated request is told from a stolen token, and an answer with tokens is never kept.',
  headers: { Cookie: { description: 'The refresh token.', example: 'maildoot_refresh=rt_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG' } },
  errors: ['MISSING_TOKEN', 'INVALID_TOKEN', 'RATE_LIMITED'],
  responses: [
    {
      status: 200,
      description: 'The session goes on.',
      schema: tokensSchema,
      headers: { 'Set-Cookie': 'The next refresh token.' },
      example: exampleTokens,
    },
  ],
  handle: async ({ headers }, call) => {
    const refreshToken = refreshTokenOf(headers.Cookie);
    if (refreshToken === undefined)
      throw new ApiError('MISSING_TOKEN', 'The request has no cookie to refresh with. Log in.', { headers: unauthenticated });
    // Whoever came with many unknown ones lately waits, whatever it is this time: asking costs auth's database a transaction.
    call.guesses.check(call.address);
    const response = await call.peers.auth
      .refresh({ refreshToken, origin: originOf(call), issuer: call.publicUrl }, { requestId: call.requestId })
      .catch((error: unknown) => {
        if (!(error instanceof RpcError && error.code === 'INVALID_TOKEN')) throw error;
        call.guesses.failed(call.address);
        throw new ApiError('INVALID_TOKEN', 'The session is over. Log in again.', {
          headers: { ...unauthenticated, 'Set-Cookie': noRefreshCookie() },
        });
      });
    const tokens = tokensJson(response);
    return json(200, tokens.json, { 'Set-Cookie': refreshCookie(tokens.refreshToken, tokens.refreshExpiresInS) });
  },
});

const unauthenticated = { 'WWW-Authenticate': 'Bearer realm="maildoot", error="invalid_token"' };
