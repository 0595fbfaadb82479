// GET /v1/user-settings/domains/:domain: one domain with its records, as they were seen last.
import { domainJson, domainSchema, exampleVerifiedDomain } from '../domain-json.ts';
import { notFound } from '../errors.ts';
import { domainParam, pathDomain } from '../path-domain.ts';
import { defineRoute, json } from '../route.ts';

export const getUserSettingsDomainsDomain = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/domains/:domain',
  operationId: 'getDomain',
  tag: 'Domains',
  summary: 'Get a sending domain',
  description: 'As it was seen at the last look; `POST …/verify` looks now.',
  scopes: ['read', 'full'],
  params: domainParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The domain with its records.', schema: domainSchema, example: exampleVerifiedDomain }],
  handle: async ({ params }, { peers, principal, requestId, signal }) => {
    const { domain } = await peers.domains.getDomain({ domain: pathDomain(params) }, { tenantId: principal.tenantId, requestId, signal });
    if (domain === undefined) throw notFound();
    return json(200, domainJson(domain));
  },
});
