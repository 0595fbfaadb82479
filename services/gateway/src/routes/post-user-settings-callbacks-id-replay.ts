// POST /v1/user-settings/callbacks/:id/replay: sends a stretch of the feed again.

import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { callbackIdParam, callbackJson, callbackSchema, exampleCallback } from '../callback-json.ts';
import { internalError } from '../errors.ts';
import { exampleLaterTime, exampleTime } from '../examples.ts';
import { repeatable, replayedHeader } from '../idempotency-key.ts';
import { pathId } from '../path-id.ts';
import { defineRoute, json } from '../route.ts';

const instant = z.iso.datetime({ offset: true });

const replaySchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('callback_replay'),
    since: z.iso.datetime(),
    until: z.iso.datetime(),
    only_failed: z.boolean(),
    created_at: z.iso.datetime(),
    callback: callbackSchema,
  })
  .meta({ id: 'CallbackReplay' });

export const postUserSettingsCallbacksIdReplay = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/callbacks/:id/replay',
  operationId: 'replayCallback',
  tag: 'Webhooks',
  summary: 'Send events again',
  description:
    'Sends the chosen events that were recorded from `since` to before `until`, of the last 30 days, each under the `webhook-id` that it had. A callback that was disabled is enabled. With `only_failed` those that it has taken are left out. At most five are under way for a callback at one time; one more is refused with `CONFLICT`.',
  scopes: ['full'],
  idempotent: true,
  params: callbackIdParam,
  body: {
    schema: z
      .strictObject({
        since: instant.meta({ examples: [exampleTime] }),
        until: instant.optional().meta({ description: 'Without it: up to now.' }),
        only_failed: z.boolean().optional(),
      })
      .meta({ id: 'CallbackReplayInput' }),
    maxBytes: 64 * 1024,
    examples: [{ summary: 'What was missed', value: { since: exampleTime, only_failed: true } }],
  },
  errors: ['NOT_FOUND', 'CONFLICT'],
  responses: [
    {
      status: 200,
      description: 'The events are on their way.',
      schema: replaySchema,
      example: {
        id: 'cbr_01kg97xw00fscrrszmz39ef7n4',
        object: 'callback_replay',
        since: exampleTime,
        until: exampleLaterTime,
        only_failed: true,
        created_at: exampleLaterTime,
        callback: exampleCallback,
      },
    },
  ],
  handle: async ({ params, body, idempotencyKey }, { peers, principal, requestId }) => {
    const id = pathId('cbk', params);
    const { since, until, only_failed: onlyFailed } = body;
    const made = await peers.callbacks.replayCallback(
      {
        id,
        since: new Date(since),
        until: until === undefined ? undefined : new Date(until),
        onlyFailed: onlyFailed ?? false,
        repeatable: repeatable(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (made.callback === undefined) throw internalError(new Error('messaging keeps a replay and did not describe it'));
    const shown: z.input<typeof replaySchema> = {
      id: made.id,
      object: 'callback_replay',
      since: timeOf(made.since, made.id),
      until: timeOf(made.until, made.id),
      only_failed: made.onlyFailed,
      created_at: timeOf(made.createdAt, made.id),
      callback: callbackJson(made.callback),
    };
    return json(200, shown, replayedHeader(made.replayed));
  },
});
