// DELETE /v1/user-settings/callbacks/:id: nothing is sent to it any more.
import { callbackIdParam } from '../callback-json.ts';
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

export const deleteUserSettingsCallbacksId = defineRoute({
  method: 'DELETE',
  path: '/v1/user-settings/callbacks/:id',
  operationId: 'deleteCallback',
  tag: 'Webhooks',
  summary: 'Delete a callback',
  description: 'What is on its way at this moment may still arrive; nothing else does.',
  scopes: ['full'],
  params: callbackIdParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'Deleted.' }],
  handle: async ({ params }, { peers, principal, requestId }) => {
    await peers.callbacks.deleteCallback({ id: pathId('cbk', params) }, { tenantId: principal.tenantId, requestId });
    return { status: 204 };
  },
});
