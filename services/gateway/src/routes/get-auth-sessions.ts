// GET /v1/auth/sessions: the user's sessions, newest first.
import { z } from 'zod';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField } from '../query.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSession, sessionJson, sessionSchema } from '../session-json.ts';

export const getAuthSessions = defineRoute({
  method: 'GET',
  path: '/v1/auth/sessions',
  operationId: 'listSessions',
  tag: 'Auth',
  summary: 'List your sessions',
  scopes: ['read', 'full'],
  credentials: ['session'],
  query: z.strictObject({ limit: limitField(), cursor: cursorField('ses') }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of sessions.',
      schema: listSchema('SessionList', sessionSchema),
      example: { data: [exampleSession], next_cursor: null },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const { userId, sessionId, tenantId } = principal;
    const page = await peers.auth.listSessions(
      { userId, limit: query.limit, afterId: query.cursor ?? '' },
      { tenantId, requestId, signal },
    );
    const data = page.sessions.map((session) => sessionJson(session, sessionId));
    return json(200, listJson('ses', data, page.hasMore ? page.sessions.at(-1)?.id : undefined));
  },
});
