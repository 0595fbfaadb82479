// GET /v1/team/members: the people of the account, newest first.
import { z } from 'zod';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { exampleMember, memberJson, memberSchema } from '../session-json.ts';

export const getTeamMembers = defineRoute({
  method: 'GET',
  path: '/v1/team/members',
  operationId: 'listMembers',
  tag: 'Team',
  summary: 'List members',
  scopes: ['read', 'full'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('usr') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of members.',
      schema: listSchema('MemberList', memberSchema),
      example: { data: [exampleMember], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.auth.listMembers(
      { limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    return json(200, listJson('usr', page.members.map(memberJson), page.hasMore ? page.members.at(-1)?.id : undefined));
  },
});
