// GET /v1/user-settings/callbacks/:id: one callback, without its secret.
import { callbackIdParam, callbackJson, callbackSchema, exampleCallback } from '../callback-json.ts';
import { notFound } from '../errors.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const getUserSettingsCallbacksId = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/callbacks/:id',
  operationId: 'getCallback',
  tag: 'Webhooks',
  summary: 'Read a callback',
  scopes: ['read', 'full'],
  params: callbackIdParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The callback.', schema: callbackSchema, example: exampleCallback }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const id = pathId('cbk', params);
    const { callback } = await peers.callbacks.getCallback({ id }, { tenantId: principal.tenantId, requestId, signal });
    if (callback === undefined) throw notFound();
    return json(200, callbackJson(callback));
  },
});
