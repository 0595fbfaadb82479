// GET /v1/user/me: the person behind the credential.
import { defineRoute, json } from '../route.ts';
import { exampleUser, userJson, userSchema } from '../user-json.ts';

export const getUserMe = defineRoute({
  method: 'GET',
  path: '/v1/user/me',
  operationId: 'getUserProfile',
  tag: 'User',
  summary: 'Who you are',
  description: 'An API key stands for the account’s first owner.',
  scopes: ['read', 'full'],
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'You.', schema: userSchema, example: exampleUser }],
  handle: async (_input, { peers, principal: { userId, tenantId }, requestId, signal }) =>
    json(200, userJson(await peers.auth.getUser({ userId }, { tenantId, requestId, signal }))),
});
