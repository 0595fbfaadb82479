// GET /v1/user/settings: the personal access token, in the clear.
import { defineRoute, json } from '../route.ts';
import { aboutMe, exampleUserSettings, userSettingsJson, userSettingsSchema } from '../user-json.ts';

export const getUserSettings = defineRoute({
  method: 'GET',
  path: '/v1/user/settings',
  operationId: 'getUserSettings',
  tag: 'User',
  summary: 'Read your personal access token',
  description:
    'Send the token, `pat_…`, in `Authorization: Bearer`: it may what you may. Each time that it is read is an entry of the audit log. An API key reads that of the account’s first owner.',
  scopes: ['full'],
  unlimitedKeysOnly: true,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'Your settings.', schema: userSettingsSchema, example: exampleUserSettings }],
  handle: async (_input, { peers, principal, address, requestId, signal }) => {
    const { tenantId } = principal;
    const { token } = await peers.auth.getPersonalAccessToken(aboutMe(principal, address), { tenantId, requestId, signal });
    return json(200, userSettingsJson(token));
  },
});
