// GET /v1/test/inbox: captured mail, newest first; waits for the first match when asked to.
import { z } from 'zod';
import { capturedMailJson, capturedMailSchema, exampleCapturedMail } from '../captured-mail-json.ts';
import { listJson, listSchema } from '../list-json.ts';
import { cursorField, emailField, idField, integerField, limitField, textField } from '../query.ts';
import { defineRoute, json } from '../route.ts';

const maxWaitSeconds = 60;
const deadlineMs = 5000;

export const getTestInbox = defineRoute({
  method: 'GET',
  path: '/v1/test/inbox',
  operationId: 'listCapturedMail',
  tag: 'Test inbox',
  summary: 'List captured mail, newest first',
  description:
    'For tests: send, then ask with `wait` for what arrives, with its links and codes taken out. A browser that opens this address is sent to the inbox page.',
  scopes: ['read', 'full'],
  query: z.strictObject({
    limit: limitField(),
    cursor: cursorField('cap'),
    to: emailField('An envelope recipient.'),
    subject: textField('A part of the subject, in any case.'),
    message_id: idField('msg', 'The message that it is.'),
    wait: integerField(0, maxWaitSeconds, 0, `Seconds to wait for the first match, at most ${maxWaitSeconds}.`),
  }),
  browsersGoTo: '/inbox',
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A page of captured mail.',
      schema: listSchema('CapturedMailList', capturedMailSchema),
      example: { data: [exampleCapturedMail], next_cursor: null },
    },
    { status: 303, description: 'To the inbox page, where `Accept` asks for HTML.', headers: { Location: 'The page.' } },
  ],
  handle: async ({ query }, { peers, principal, requestId, signal }) => {
    const waitMs = query.wait * 1000;
    const page = await peers.delivery.listCapturedMail(
      {
        limit: query.limit,
        afterId: query.cursor ?? '',
        to: query.to ?? '',
        subject: query.subject ?? '',
        messageId: query.message_id ?? '',
        waitMs,
      },
      { tenantId: principal.tenantId, requestId, signal, deadlineMs: waitMs + deadlineMs },
    );
    return json(200, listJson('cap', page.mails.map(capturedMailJson), page.hasMore ? page.mails.at(-1)?.id : undefined));
  },
});
