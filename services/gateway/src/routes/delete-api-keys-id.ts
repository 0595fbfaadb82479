// DELETE /v1/api-keys/:id: revokes a key. It stops working everywhere at once; within 5 s where that can't be told.
import { exampleIds } from '../examples.ts';
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

export const deleteApiKeysId = defineRoute({
  method: 'DELETE',
  path: '/v1/api-keys/:id',
  operationId: 'revokeApiKey',
  tag: 'API keys',
  summary: 'Revoke an API key',
  description: 'It stops working everywhere at once; within 5 seconds where a part of the platform can’t be reached.',
  scopes: ['full'],
  params: { id: { description: 'The id of the key, not the key.', example: exampleIds.key } },
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'Revoked.' }],
  handle: async ({ params }, { address, peers, principal, requestId }) => {
    await peers.auth.revokeApiKey(
      {
        id: pathId('key', params),
        callerScope: principal.protoScope,
        callerLimits: principal.limits,
        callerRole: principal.protoRole,
        actorId: principal.credentialId,
        address,
      },
      { tenantId: principal.tenantId, requestId },
    );
    return { status: 204 };
  },
});
