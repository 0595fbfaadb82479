// POST /v1/user-settings/callbacks/:id/rotate-secret: a new secret, shown once; the old one signs along for a day.
import { callbackIdParam, callbackJson, callbackWithSecretSchema, exampleCallback, exampleSecret } from '../callback-json.ts';
import { internalError } from '../errors.ts';
import { repeatable, replayedHeader } from '../idempotency-key.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

export const postUserSettingsCallbacksIdRotateSecret = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/callbacks/:id/rotate-secret',
  operationId: 'rotateCallbackSecret',
  tag: 'Webhooks',
  summary: 'Replace a callback’s secret',
  description: 'For 24 hours both secrets sign: `webhook-signature` has two signatures, and a receiver that knows either verifies.',
  scopes: ['full'],
  idempotent: true,
  params: callbackIdParam,
  errors: ['NOT_FOUND'],
  responses: [
    {
      status: 200,
      description: 'The callback with its new secret.',
      schema: callbackWithSecretSchema,
      example: { ...exampleCallback, previous_secret_until: '2026-02-01T08:00:00.000Z', secret: exampleSecret },
    },
  ],
  handle: async ({ params, idempotencyKey }, { peers, principal, requestId }) => {
    const id = pathId('cbk', params);
    const { callback, secret, replayed } = await peers.callbacks.rotateCallbackSecret(
      { id, repeatable: repeatable(idempotencyKey, { id }) },
      { tenantId: principal.tenantId, requestId },
    );
    if (callback === undefined) throw internalError(new Error('messaging rotated a secret and did not describe the callback'));
    return json(200, { ...callbackJson(callback), secret }, replayedHeader(replayed));
  },
});
