// POST /v1/messages/:id/resend: a message once more, as a new one.
import { newId } from '@maildoot/runtime/ids';
import { z } from 'zod';
import { acceptedJson, acceptedSchema } from '../accepted-json.ts';
import { internalError } from '../errors.ts';
import { exampleIds, exampleTime } from '../examples.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { messageIdParam, pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';
import { takeOrReplay } from '../stored-answer.ts';

const deadlineMs = 15_000;

export const postMessagesIdResend = defineRoute({
  method: 'POST',
  path: '/v1/messages/:id/resend',
  operationId: 'resendMessage',
  tag: 'Messages',
  summary: 'Send a message again',
  description:
    'As a new message with the same content, recipients, tags and metadata. Everything is checked again: the sender, and who is suppressed. 404 also when the content is not kept any more.',
  scopes: ['full'],
  idempotent: true,
  sends: true,
  params: messageIdParam,
  // Whoever gives other recipients must not reach the first ones once more.
  body: {
    schema: z.strictObject({}).meta({ id: 'Resending', description: 'Nothing: the message goes out as it was.' }),
    maxBytes: 64 * 1024,
    optional: true,
    examples: [{ summary: 'As it was', value: {} }],
  },
  errors: ['NOT_FOUND', 'DOMAIN_NOT_VERIFIED', 'SENDER_NOT_ALLOWED', 'CONFLICT'],
  responses: [
    {
      status: 202,
      description: 'The new message, accepted and stored.',
      schema: acceptedSchema,
      example: {
        id: exampleIds.otherMessage,
        object: 'message',
        status: 'queued',
        created_at: exampleTime,
        estimated_send_at: exampleTime,
      },
    },
  ],
  handle: async ({ params, idempotencyKey }, call) => {
    const { peers, principal, requestId } = call;
    const id = pathId('msg', params);
    const request = {
      id,
      newId: newId('msg'),
      ...repeatableFields(idempotencyKey, { resend: id }),
      allowedDomains: [...principal.allowedDomains],
      credentialId: principal.credentialId,
      test: principal.test,
    };
    const options = { tenantId: principal.tenantId, requestId, deadlineMs };
    const { unused, stored } = await takeOrReplay(
      () => call.takeMessages(1),
      async () => {
        if (idempotencyKey === undefined) return undefined;
        const found = await peers.messaging.resendMessage({ ...request, replayOnly: true }, options);
        return found.accepted === undefined ? undefined : found;
      },
    );
    try {
      const { accepted, replayed } = stored ?? (await peers.messaging.resendMessage(request, options));
      if (accepted === undefined) throw internalError(new Error('messaging answered without a result'));
      unused(replayed ? 1 : 0);
      return json(202, acceptedJson(accepted, call.publicUrl), replayedHeader(replayed));
    } catch (error) {
      unused(1);
      throw error;
    }
  },
});
