// GET /v1/audit-log: who did what, and which credential was refused why.

import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleTime } from '../examples.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, limitField, textField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

const entrySchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('audit_entry'),
    action: z.string().meta({ description: '`api_key.created`, `login.failed` …; there may be more of them later.' }),
    actor_id: z.string().nullable().meta({ description: 'Who: a member, a key, or `operator`; null where nobody can be named.' }),
    subject_id: z.string().nullable().meta({ description: 'What it was done to; null: the account.' }),
    address: z.string().nullable().meta({ description: 'Where from.' }),
    detail: z.string().nullable().meta({ description: 'Why a credential was refused: `expired`, `revoked`, `address_not_allowed` …' }),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'AuditEntry' });

export const getAuditLog = defineRoute({
  method: 'GET',
  path: '/v1/audit-log',
  operationId: 'listAuditEntries',
  tag: 'Team',
  summary: 'List the audit log',
  description: 'Newest first. The same refusal from the same address is written once a minute.',
  scopes: ['read', 'full'],
  query: z.strictObject({
    limit: limitField(),
    cursor: cursorField('aud'),
    action: textField('Only this action.', 64),
  }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of the log.',
      schema: listSchema('AuditLog', entrySchema),
      example: {
        data: [
          {
            id: exampleIds.auditEntry,
            object: 'audit_entry',
            action: 'api_key.refused',
            actor_id: null,
            subject_id: exampleIds.key,
            address: '203.0.113.9',
            detail: 'revoked',
            created_at: exampleTime,
          },
        ],
        next_cursor: null,
      },
    },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const page = await peers.auth.listAuditEntries(
      { limit: query.limit, afterId: query.cursor ?? '', action: query.action ?? '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    const data = page.entries.map(({ id, action, actorId, subjectId, address, detail, at }) => ({
      id,
      object: 'audit_entry',
      action,
      actor_id: actorId || null,
      subject_id: subjectId || null,
      address: address || null,
      detail: detail || null,
      created_at: timeOf(at, id),
    }));
    return json(200, listJson('aud', data, page.hasMore ? page.entries.at(-1)?.id : undefined));
  },
});
