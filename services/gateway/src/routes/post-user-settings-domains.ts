// POST /v1/user-settings/domains: claims a domain and says what to publish.
import { normaliseDomain } from '@maildoot/mail/domain';
import { z } from 'zod';
import { domainJson, domainSchema, exampleDomain } from '../domain-json.ts';
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';

// Making two RSA keys takes a while on a busy machine.
const deadlineMs = 15_000;

// Which domains can be claimed is domain-provisioning's to say; what is no domain name is told here, together with all else.
const domainName = z
  .string()
  .max(512)
  .refine((text) => normaliseDomain(text.trim().replace(/\.$/, '')) !== undefined, {
    params: { code: 'invalid_domain' },
    error: 'Write a domain name: example.com.',
  })
  .meta({ format: 'idn-hostname' });

export const postUserSettingsDomains = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/domains',
  operationId: 'createDomain',
  tag: 'Domains',
  summary: 'Add a sending domain',
  description:
    'Answers with the DNS records to publish. Anybody may add a domain; who can publish the ownership record has it. Who has as many as an account can have gets a `CONFLICT`.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: z.strictObject({ domain: domainName }).meta({ id: 'DomainInput' }),
    maxBytes: 64 * 1024,
    examples: [{ summary: 'A domain', value: { domain: 'yourdomain.com' } }],
  },
  errors: ['DOMAIN_EXISTS', 'CONFLICT'],
  responses: [
    {
      status: 201,
      description: 'The domain with the records to publish.',
      schema: domainSchema,
      example: exampleDomain,
    },
  ],
  handle: async ({ body, idempotencyKey }, { peers, principal, requestId }) => {
    const { domain, replayed } = await peers.domains.createDomain(
      {
        domain: body.domain,
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId, deadlineMs },
    );
    if (domain === undefined) throw internalError(new Error('domain-provisioning made a domain and did not describe it'));
    return json(201, domainJson(domain), replayedHeader(replayed));
  },
});
