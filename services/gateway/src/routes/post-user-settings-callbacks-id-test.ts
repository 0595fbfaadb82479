// POST /v1/user-settings/callbacks/:id/test: sends a test event, once.
import type { z } from 'zod';
import { callbackIdParam, exampleCallbackId } from '../callback-json.ts';
import { eventSchema } from '../event-json.ts';
import { exampleIds, exampleTime } from '../examples.ts';
import { repeatable, replayedHeader } from '../idempotency-key.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const postUserSettingsCallbacksIdTest = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/callbacks/:id/test',
  operationId: 'testCallback',
  tag: 'Webhooks',
  summary: 'Send a test event',
  description:
    'Sends an event of type `callback.test`, once, whatever events were chosen and whether the callback is enabled or not. How it went: `GET …/attempts?event_id=`. It is not in the feed, so its `seq` is 0.',
  scopes: ['full'],
  idempotent: true,
  params: callbackIdParam,
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'The event, on its way.',
      schema: eventSchema,
      example: {
        id: exampleIds.event,
        object: 'event',
        seq: 0,
        type: 'callback.test',
        created_at: exampleTime,
        timestamp: exampleTime,
        data: { callback_id: exampleCallbackId, message: 'This is a test. Nothing happened.' },
      } satisfies z.input<typeof eventSchema>,
    },
  ],
  handle: async ({ params, idempotencyKey }, { peers, principal, requestId }) => {
    const id = pathId('cbk', params);
    const { body, replayed } = await peers.callbacks.testCallback(
      { id, repeatable: repeatable(idempotencyKey, { id }) },
      { tenantId: principal.tenantId, requestId },
    );
    return json(200, JSON.parse(body), replayedHeader(replayed));
  },
});
