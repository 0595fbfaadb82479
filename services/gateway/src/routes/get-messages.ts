// GET /v1/messages: the tenant's messages, newest first.

import { idToUuid } from '@maildoot/runtime/ids';
import { timeJson } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { apiErrorFrom } from '../errors.ts';
import { exampleCursor } from '../examples.ts';
import { listJson, listSchema } from '../list-json.ts';
import { exampleMessage } from '../message-examples.ts';
import { messageJson, messageSchema, messageStatus } from '../message-json.ts';
import { cursorField, domainField, emailField, idField, limitField, textField, timeField } from '../query.ts';
import { type Call, defineRoute, json } from '../route.ts';
import { besideOthers, type Context, refuse, textEntries, textsByName } from '../schema-parts.ts';
import { templateId } from '../template-fields.ts';

/** NUL is no text to a database. */
function withoutNul(record: Record<string, string>, context: Context): void {
  for (const [key, value] of textEntries(record))
    if (`${key}${value}`.includes('\0')) refuse(context, record, 'control_character', 'The character NUL is not allowed.', [key]);
}

export const getMessages = defineRoute({
  method: 'GET',
  path: '/v1/messages',
  operationId: 'listMessages',
  tag: 'Messages',
  summary: 'List messages, newest first',
  description:
    'Filters narrow the list together. A filtered list looks back a limited time per page: `searched_back_to` says how far, and a page may have fewer entries than `limit` and still a `next_cursor`.',
  scopes: ['read', 'send', 'full'],
  query: z.strictObject({
    limit: limitField(),
    cursor: cursorField('msg'),
    status: z.enum(messageStatus.words).optional(),
    from: emailField('The address in From.'),
    to: emailField('An address in To, Cc or Bcc.'),
    subject: textField('A part of the subject, in any case.'),
    tag: textField('A tag.', 256),
    metadata: textsByName(100)
      .check(z.superRefine(withoutNul, besideOthers))
      .optional()
      .meta({
        propertyNames: { type: 'string', pattern: '^[^\\[\\]]+$' },
        description: '`metadata[order]=4711`: what the metadata has under a key.',
        examples: [{ order: '4711' }],
      }),
    domain: domainField('The domain in From.'),
    created_after: timeField('Created after this time.'),
    created_before: timeField('Created before this time.'),
    batch_id: idField('bat', 'Messages of one batch.'),
    template_id: templateId.optional().meta({ description: 'Messages made from one template, by its id or alias.' }),
    stream: textField('Messages of one stream.', 64),
  }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of messages.',
      schema: listSchema('MessageList', messageSchema, {
        searched_back_to: z.iso
          .datetime()
          .nullable()
          .optional()
          .meta({ description: 'How far back a filtered list looked; only in filtered answers.' }),
      }),
      example: { data: [exampleMessage], next_cursor: exampleCursor },
    },
  ],
  handle: async ({ query }, call) => {
    const { peers, publicUrl, principal, requestId, signal } = call;
    const { limit, cursor, status, created_after, created_before, batch_id, template_id, ...rest } = query;
    const filtered = Object.keys(query).some((name) => name !== 'limit' && name !== 'cursor');
    const template = template_id === undefined ? '' : await templateOf(template_id, call);
    // Nothing was made from a template that isn't there.
    if (template === undefined) return json(200, { ...listJson('msg', [], ''), searched_back_to: null });
    const page = await peers.messaging.listMessages(
      {
        limit,
        afterId: cursor ?? '',
        status: status === undefined ? 0 : (messageStatus.valueOf(status) ?? 0),
        from: rest.from ?? '',
        to: rest.to ?? '',
        subject: rest.subject ?? '',
        tag: rest.tag ?? '',
        metadata: rest.metadata ?? {},
        domain: rest.domain ?? '',
        createdAfter: created_after,
        createdBefore: created_before,
        batchId: batch_id ?? '',
        templateId: template,
        stream: rest.stream ?? '',
      },
      { tenantId: principal.tenantId, requestId, signal },
    );
    const list = listJson(
      'msg',
      page.messages.map((message) => messageJson(message, publicUrl)),
      page.nextAfterId,
    );
    return json(200, filtered ? { ...list, searched_back_to: timeJson(page.searchedBackTo) } : list);
  },
});

/** Its id. One that was deleted still has messages under its id, so that ids are not looked up. */
async function templateOf(name: string, { peers, principal, requestId, signal }: Call): Promise<string | undefined> {
  if (idToUuid('tpl', name) !== undefined) return name;
  try {
    const { template } = await peers.templates.getTemplate({ id: name, version: 0 }, { tenantId: principal.tenantId, requestId, signal });
    return template?.id;
  } catch (error) {
    if (apiErrorFrom(error).code === 'NOT_FOUND') return undefined;
    throw error;
  }
}
