// DELETE /v1/team/members/:id: somebody goes, with all their sessions. Keys that they made stay.
import { exampleIds } from '../examples.ts';
import { pathId } from '../path-id.ts';
import { defineRoute } from '../route.ts';

export const deleteTeamMembersId = defineRoute({
  method: 'DELETE',
  path: '/v1/team/members/:id',
  operationId: 'removeMember',
  tag: 'Team',
  summary: 'Remove a member',
  description:
    'Their sessions and their personal access token end. API keys that they made belong to the account and stay. A `CONFLICT` where no owner would be left who can log in.',
  scopes: ['full'],
  ownersOnly: true,
  params: { id: { description: 'The id of the member.', example: exampleIds.user } },
  errors: ['NOT_FOUND', 'CONFLICT'],
  responses: [{ status: 204, description: 'Removed.' }],
  handle: async ({ params }, { address, peers, principal, requestId }) => {
    await peers.auth.removeMember(
      { id: pathId('usr', params), actorId: principal.credentialId, address },
      { tenantId: principal.tenantId, requestId },
    );
    return { status: 204 };
  },
});
