// POST /v1/templates/:id/send: a message made of a template. The same as POST /v1/messages with `template_id`, and answered like it.

import { acceptedSchema } from '../accepted-json.ts';
import { dryRun, dryRunSchema, exampleDryRun } from '../dry-run.ts';
import { ApiError, notFound } from '../errors.ts';
import { exampleIds, exampleTime } from '../examples.ts';
import type { Issue } from '../issues.ts';
import { templateMessageInput } from '../message-schema.ts';
import { defineRoute, json } from '../route.ts';
import { isTemplateName } from '../template-fields.ts';
import { templateName, templateParams } from '../template-input.ts';
import { maxSendBytes, type Outgoing, readMessages, sendErrors, sendOutgoing } from './post-messages.ts';

export const postTemplatesIdSend = defineRoute<never, Outgoing>({
  method: 'POST',
  path: '/v1/templates/:id/send',
  operationId: 'sendTemplate',
  tag: 'Templates',
  summary: 'Send a message made of a template',
  description:
    'The same as `POST /v1/messages` with `template_id`, for one message, and answered like it. ' +
    'Variables that the template needs and that are missing or null refuse the message: nothing is sent blank.',
  scopes: ['send', 'full'],
  sends: true,
  idempotent: true,
  params: templateParams,
  body: {
    schema: templateMessageInput,
    maxBytes: maxSendBytes,
    examples: [
      {
        summary: 'One message',
        value: {
          from: 'no-reply@yourdomain.com',
          to: 'user@example.com',
          variables: { name: 'Ada', order: { number: 4711 } },
        },
      },
    ],
    // What can be no template's name is no problem of the body: the handler says that there is no such thing.
    read: (bytes, idempotencyKey, call, { id = '' }) =>
      readMessages(bytes, idempotencyKey, call, { template: isTemplateName(id) ? id : 'no-template' }),
  },
  errors: ['NOT_FOUND', ...sendErrors],
  responses: [
    {
      status: 200,
      description: 'A dry run: what would have been sent. Nothing was kept.',
      schema: dryRunSchema,
      example: exampleDryRun,
    },
    {
      status: 202,
      description: 'Accepted and stored.',
      schema: acceptedSchema,
      example: { id: exampleIds.message, object: 'message', status: 'queued', created_at: exampleTime, estimated_send_at: exampleTime },
    },
  ],
  handle: async ({ params, body }, call) => {
    templateName(params);
    if (body.dryRun) {
      const looked = await dryRun(body.request, call);
      if (looked.error?.issues.some(isUnknownTemplate)) throw notFound();
      return json(200, looked);
    }
    try {
      return await sendOutgoing(body, call);
    } catch (error) {
      if (error instanceof ApiError && error.issues.some(isUnknownTemplate)) throw notFound();
      throw error;
    }
  },
});

function isUnknownTemplate({ path, code }: Pick<Issue, 'path' | 'code'>): boolean {
  return path === 'template_id' && code === 'unknown_template';
}
