// POST /v1/user-settings/domains/:domain/verify: looks at the domain's own name servers now.
import { z } from 'zod';
import { domainJson, domainSchema, exampleVerifiedDomain } from '../domain-json.ts';
import { notFound } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
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
  description:
    'Asks the domain’s own name servers and says per record what was expected and what was seen. Takes up to 5 seconds. With an idempotency key, the same request tells for a day what was seen the first time: use a new key for a new look.',
  scopes: ['full'],
  idempotent: true,
  params: domainParam,
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The domain as it was seen.', schema: domainSchema, example: exampleVerifiedDomain }],
  query: z.strictObject({}),
  handle: async ({ params, idempotencyKey }, { peers, principal, requestId }) => {
    const name = pathDomain(params);
    const { domain, replayed } = await peers.domains.verifyDomain(
      {
        domain: name,
        ...repeatableFields(idempotencyKey, { domain: name }),
      },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    if (domain === undefined) throw notFound();
    return json(200, domainJson(domain), replayedHeader(replayed));
  },
});
