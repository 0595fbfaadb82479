// DELETE /v1/user-settings/domains/:domain: gives a domain up with its keys.
import { domainParam, pathDomain } from '../path-domain.ts';
import { defineRoute } from '../route.ts';

export const deleteUserSettingsDomainsDomain = defineRoute({
  method: 'DELETE',
  path: '/v1/user-settings/domains/:domain',
  operationId: 'deleteDomain',
  tag: 'Domains',
  summary: 'Remove a sending domain',
  description:
    'Its signing keys are destroyed. New mail from it is refused within seconds; what is queued waits for a key and is given up in the end. Adding it again makes new keys and records.',
  scopes: ['full'],
  params: domainParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 204, description: 'Removed.' }],
  handle: async ({ params }, { peers, principal, requestId }) => {
    await peers.domains.deleteDomain({ domain: pathDomain(params) }, { tenantId: principal.tenantId, requestId });
    return { status: 204 };
  },
});
