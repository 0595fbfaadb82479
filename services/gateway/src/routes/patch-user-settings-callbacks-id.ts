// PATCH /v1/user-settings/callbacks/:id: changes a callback, enables or disables it.
import { z } from 'zod';
import {
  callbackDescription,
  callbackEvents,
  callbackIdParam,
  callbackJson,
  callbackSchema,
  callbackUrl,
  exampleCallback,
} from '../callback-json.ts';
import { notFound } from '../errors.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const patchUserSettingsCallbacksId = defineRoute({
  method: 'PATCH',
  path: '/v1/user-settings/callbacks/:id',
  operationId: 'updateCallback',
  tag: 'Webhooks',
  summary: 'Change a callback',
  description:
    'Changes what is given. Disabling leaves behind what waits to be sent; enabling goes on with what happens from then on. `POST …/replay` sends what was missed.',
  scopes: ['full'],
  params: callbackIdParam,
  body: {
    schema: z
      .strictObject({
        url: callbackUrl.optional(),
        events: callbackEvents.optional(),
        description: callbackDescription.optional(),
        enabled: z.boolean().optional(),
      })
      .meta({ id: 'CallbackChange' }),
    maxBytes: 64 * 1024,
    examples: [
      { summary: 'Other events', value: { events: ['message.delivered', 'message.bounced'] } },
      { summary: 'Enabled again', value: { enabled: true } },
    ],
  },
  errors: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'The callback as it stands now.', schema: callbackSchema, example: exampleCallback }],
  handle: async ({ params, body }, { peers, principal, requestId }) => {
    const { url, events, description, enabled } = body;
    const { callback } = await peers.callbacks.updateCallback(
      { id: pathId('cbk', params), url, events: events && { patterns: events }, description, enabled },
      { tenantId: principal.tenantId, requestId },
    );
    if (callback === undefined) throw notFound();
    return json(200, callbackJson(callback));
  },
});
