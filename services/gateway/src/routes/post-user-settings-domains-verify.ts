// POST /v1/user-settings/domains/:domain/verify: looks at the domain's own name servers now.
import { z } from 'zod';
import { domainJson, domainSchema, exampleVerifiedDomain } from '../domain-json.ts';
import { notFound } from '../errors.ts';
import { domainParam, pathDomain } from '../path-domain.ts';
import { defineRoute, json } from '../route.ts';

// The look itself ends after 5 s.
const deadlineMs = 8000;

export const postUserSettingsDomainsVerify = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/domains/:domain/verify',
  operationId: 'verifyDomain',
  tag: 'Domains',
  summary: 'Look at a domain’s DNS now',
  description: 'Asks the domain’s own name servers and says per record what was expected and what was seen. Takes up to 5 seconds.',
  scopes: ['full'],
  params: domainParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The domain as it was seen.', schema: domainSchema, example: exampleVerifiedDomain }],
  query: z.strictObject({}),
  handle: async ({ params }, { peers, principal, requestId }) => {
    const { domain } = await peers.domains.verifyDomain(
      { domain: pathDomain(params) },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    if (domain === undefined) throw notFound();
    return json(200, domainJson(domain));
  },
});
