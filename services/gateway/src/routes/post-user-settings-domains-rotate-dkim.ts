// POST /v1/user-settings/domains/:domain/rotate-dkim: begins to change the signing key.
import { z } from 'zod';
import { domainJson, domainSchema, exampleRotatingDomain } from '../domain-json.ts';
import { notFound } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { domainParam, pathDomain } from '../path-domain.ts';
import { defineRoute, json } from '../route.ts';

// A key may have to be made.
const deadlineMs = 10_000;

export const postUserSettingsDomainsRotateDkim = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/domains/:domain/rotate-dkim',
  operationId: 'rotateDkim',
  tag: 'Domains',
  summary: 'Change the signing key',
  description:
    'The old key signs until the record of the other selector is seen in DNS, then they change places by themselves. Publish what `records` says for the selector `dkim.rotation.to`; leave the old record where it is until `dkim.rotation.old_record_needed_until`. Until then another change is a `CONFLICT`.',
  scopes: ['full'],
  params: domainParam,
  query: z.strictObject({}),
  idempotent: true,
  errors: ['NOT_FOUND', 'CONFLICT'],
  responses: [
    {
      status: 200,
      description: 'The domain, with what to publish.',
      schema: domainSchema,
      example: exampleRotatingDomain,
    },
  ],
  handle: async ({ params, idempotencyKey }, { peers, principal, requestId }) => {
    const name = pathDomain(params);
    const { domain, replayed } = await peers.domains.rotateDkim(
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
