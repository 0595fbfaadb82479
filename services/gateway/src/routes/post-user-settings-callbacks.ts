// POST /v1/user-settings/callbacks: registers an endpoint, and shows its secret once.
import { z } from 'zod';
import {
  callbackDescription,
  callbackEvents,
  callbackJson,
  callbackUrl,
  callbackWithSecretSchema,
  exampleCallback,
  exampleSecret,
} from '../callback-json.ts';
import { internalError } from '../errors.ts';
import { repeatable, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';

export const postUserSettingsCallbacks = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/callbacks',
  operationId: 'createCallback',
  tag: 'Webhooks',
  summary: 'Register a callback',
  description:
    'It is told of what happens from now on, by [Standard Webhooks](https://www.standardwebhooks.com): a POST with an event as `GET /v1/events` shows it, signed with the secret in the answer, which is never shown again. ' +
    'Verify the signature with any library for Standard Webhooks, and leave out what you had before by `webhook-id`.\n\n' +
    'An answer of 2xx within 15 s takes the event. Anything else, redirects too, is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, with the same `webhook-id`. `Retry-After` puts the next attempt off, by a day at most; of a 429, 502, 503 or 504 everything that the callback would be told. ' +
    '410 disables the callback, and so do five days of nothing but failure. Events may come in another order than they happened.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: z
      .strictObject({ url: callbackUrl, events: callbackEvents.optional(), description: callbackDescription.optional() })
      .meta({ id: 'CallbackInput' }),
    maxBytes: 64 * 1024,
    examples: [
      {
        summary: 'What happens to messages',
        value: { url: 'https://example.com/webhooks', events: ['message.*'], description: 'Order system' },
      },
      { summary: 'Everything', value: { url: 'https://example.com/webhooks' } },
    ],
  },
  errors: ['CONFLICT'],
  responses: [
    {
      status: 201,
      description: 'The callback with its secret.',
      schema: callbackWithSecretSchema,
      example: { ...exampleCallback, secret: exampleSecret },
    },
  ],
  handle: async ({ body, idempotencyKey }, { peers, principal, requestId }) => {
    const { callback, secret, replayed } = await peers.callbacks.createCallback(
      {
        url: body.url,
        events: body.events ?? [],
        description: body.description ?? '',
        repeatable: repeatable(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (callback === undefined) throw internalError(new Error('messaging made a callback and did not describe it'));
    return json(201, { ...callbackJson(callback), secret }, replayedHeader(replayed));
  },
});
