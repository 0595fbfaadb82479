// GET /v1/user-settings/domains: the tenant's sending domains, newest first.
import { z } from 'zod';
import { domainJson, domainSchema, exampleDomain } from '../domain-json.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

export const getUserSettingsDomains = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/domains',
  operationId: 'listDomains',
  tag: 'Domains',
  summary: 'List sending domains',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('dom') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of domains.',
      schema: listSchema('DomainList', domainSchema),
      example: { data: [exampleDomain], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.domains.listDomains(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('dom', page.domains.map(domainJson), page.hasMore ? page.domains.at(-1)?.id : undefined));
  },
});
