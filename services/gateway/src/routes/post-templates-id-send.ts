// POST /v1/templates/:id/send: a message made of a template. The same as POST /v1/messages with `template_id`, and answered like it.

import { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { acceptedSchema } from '../accepted-json.ts';
import { dryRunSchema, exampleDryRun } from '../dry-run.ts';
import { ApiError, notFound } from '../errors.ts';
import { exampleIds, exampleTime } from '../examples.ts';
import { requestHash } from '../idempotency-key.ts';
import { unknownField } from '../issues.ts';
import { parseJson } from '../json-body.ts';
import { templateMessageInput } from '../message-schema.ts';
import { EncodedAcceptRequest } from '../peers.ts';
import { type Call, defineRoute } from '../route.ts';
import { isObject } from '../schema-parts.ts';
import { templateName, templateParams } from '../template-input.ts';
import { type Outgoing, readOutgoing, sendErrors, sendOutgoing } from './post-messages.ts';

/** Fields of a message that the path says, or that only several messages have. */
const notHere = ['template_id', 'messages', 'atomic'];
/** Which template it is stands in the path, which is not known where the body is read. */
const laterKnown = 'later-known';

export const postTemplatesIdSend = defineRoute<never, Outgoing>({
  method: 'POST',
  path: '/v1/templates/:id/send',
  operationId: 'sendTemplate',
  tag: 'Templates',
  summary: 'Send a message made of a template',
  description:
    'The same as `POST /v1/messages` with `template_id`, for one message with small attachments (768 KB in all), and answered like it. ' +
    'Variables that the template needs and that are missing or null refuse the message: nothing is sent blank.',
  scopes: ['send', 'full'],
  sends: true,
  idempotent: true,
  params: templateParams,
  body: {
    schema: templateMessageInput,
    maxBytes: 768 * 1024,
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
    read: readTemplateMessage,
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
    const templateId = templateName(params);
    const request = body.request instanceof EncodedAcceptRequest ? AcceptMessagesRequest.decode(body.request.bytes) : body.request;
    for (const message of request.messages) message.templateId = templateId;
    // The same body for another template is another request.
    if (request.idempotencyKey !== '') request.requestSha256 = requestHash([templateId, request.requestSha256.toString('hex')]);
    try {
      return await sendOutgoing({ ...body, request }, call);
    } catch (error) {
      if (error instanceof ApiError && error.issues.some(({ path, code }) => path === 'template_id' && code === 'unknown_template'))
        throw notFound();
      throw error;
    }
  },
});

async function readTemplateMessage(bytes: Buffer, idempotencyKey: string | undefined, call: Call) {
  const value = parseJson(bytes);
  if (Array.isArray(value) || !isObject(value)) {
    return { issues: [{ path: '', code: 'invalid_type', message: 'This must be one message, an object.' }] };
  }
  const message = value as Record<string, unknown>;
  const known = Object.keys(templateMessageInput.shape);
  const foreign = notHere.filter((name) => Object.hasOwn(message, name)).map((name) => unknownField([], name, known));
  for (const name of notHere) delete message[name];
  const read = await readOutgoing(Buffer.from(JSON.stringify({ ...message, template_id: laterKnown })), idempotencyKey, call);
  const issues = [...foreign, ...('issues' in read ? read.issues : [])];
  return issues.length > 0 ? { issues } : read;
}
