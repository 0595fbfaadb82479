// Callbacks and what was tried to tell them, as the API shows them. The secret stands in the two answers that make one, and nowhere else.
import {
  type Callback,
  type CallbackAttempt,
  CallbackDisabledReason,
  CallbackOutcome,
} from '@maildoot/proto/maildoot/messaging/v1/callback';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { eventTypes, isEventPattern } from '@maildoot/webhooks/event-types';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleLaterTime, exampleTime } from './examples.ts';
import { nearestName } from './nearest-name.ts';
import { listOf } from './schema-parts.ts';

const reasons = enumWords(CallbackDisabledReason, 'CALLBACK_DISABLED_REASON_');
const outcomes = enumWords(CallbackOutcome, 'CALLBACK_OUTCOME_');

const time = z.iso.datetime();

const fields = {
  id: z.string(),
  object: z.literal('callback'),
  url: z.string(),
  events: z.array(z.string()).meta({ description: 'Names, or prefixes such as `message.*`; `*`: every event.' }),
  description: z.string(),
  enabled: z.boolean(),
  disabled_reason: z
    .enum([...reasons.words, unknownWord])
    .nullable()
    .meta({ description: '`owner`: by a request. `gone`: it answered 410. `failing`: nothing but failure for five days.' }),
  disabled_at: time.nullable(),
  failing_since: time.nullable().meta({ description: 'Since when every attempt has failed; null: the last one did not.' }),
  paused_until: time.nullable().meta({ description: 'Its `Retry-After`: nothing is sent before.' }),
  previous_secret_until: time.nullable().meta({ description: 'Until when the secret before this one signs along.' }),
  created_at: time,
  updated_at: time,
};

export const callbackSchema = z.strictObject(fields).meta({ id: 'Callback' });
export const callbackWithSecretSchema = z
  .strictObject({ ...fields, secret: z.string().meta({ description: 'For verifying signatures. It is shown this once.' }) })
  .meta({ id: 'CallbackWithSecret' });

export const callbackAttemptSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('callback_attempt'),
    callback_id: z.string(),
    event_id: z.string().meta({ description: 'The `webhook-id`: the same for every attempt at one event.' }),
    event_type: z.string(),
    message_id: z.string().nullable(),
    number: z.int(),
    outcome: z.enum([...outcomes.words, unknownWord]),
    http_status: z.int().nullable().meta({ description: 'Null: there was no answer.' }),
    detail: z.string().nullable().meta({ description: 'The beginning of the answer, or what went wrong.' }),
    duration_ms: z.int(),
    created_at: time,
    next_attempt_at: time.nullable().meta({ description: 'Null: it is not tried again by itself.' }),
  })
  .meta({ id: 'CallbackAttempt' });

export function callbackJson(callback: Callback): z.input<typeof callbackSchema> {
  return {
    id: callback.id,
    object: 'callback',
    url: callback.url,
    events: callback.events.length === 0 ? ['*'] : callback.events,
    description: callback.description,
    enabled: callback.enabled,
    disabled_reason: callback.enabled ? null : reasons.wordOf(callback.disabledReason),
    disabled_at: timeJson(callback.disabledAt),
    failing_since: timeJson(callback.failingSince),
    paused_until: timeJson(callback.pausedUntil),
    previous_secret_until: timeJson(callback.previousSecretUntil),
    created_at: timeOf(callback.createdAt, callback.id),
    updated_at: timeOf(callback.updatedAt, callback.id),
  };
}

export function callbackAttemptJson(attempt: CallbackAttempt): z.input<typeof callbackAttemptSchema> {
  return {
    id: attempt.id,
    object: 'callback_attempt',
    callback_id: attempt.callbackId,
    event_id: attempt.eventId,
    event_type: attempt.eventType,
    message_id: attempt.messageId || null,
    number: attempt.number,
    outcome: outcomes.wordOf(attempt.outcome),
    http_status: attempt.httpStatus || null,
    detail: attempt.detail || null,
    duration_ms: attempt.durationMs,
    created_at: timeOf(attempt.at, attempt.id),
    next_attempt_at: timeJson(attempt.nextAttemptAt),
  };
}

// ── what requests say ────────────────────────────────────────────────────────────────────────────────────────────────────

// Where it leads is messaging's to look up; what is no address is told here, together with all else.
export const callbackUrl = z
  .string()
  .max(2_048)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), {
    params: { code: 'invalid_url' },
    error: 'Write a whole address: https://example.com/webhooks.',
  })
  .meta({ format: 'http-url', description: '`https`, and reachable from the internet.', examples: ['https://example.com/webhooks'] });

const pattern = z.string().superRefine((text, context) => {
  if (isEventPattern(text)) return;
  const nearest = nearestName(text, [...eventTypes, 'message.*', 'domain.*', 'callback.*']);
  const message = `There is no such event.${nearest === undefined ? '' : ` Do you mean ${nearest}?`} Write a name, a prefix such as message.*, or *.`;
  context.addIssue({ code: 'custom', input: text, message, params: { code: 'unknown_event' } });
});

export const callbackEvents = listOf(pattern, 1, 50).meta({
  description: 'Names, or prefixes such as `message.*`. Without it: every event.',
});
export const callbackDescription = z
  .string()
  .max(500)
  .refine((text) => !text.includes('\0'), { params: { code: 'invalid_characters' }, error: 'A description has no NUL.' });

// ── examples ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

export const exampleCallbackId = 'cbk_01kg97xw00fscrrszmz39ef7n2';
export const exampleSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq0Nn5rGzZ3o=';

export const exampleCallback: z.input<typeof callbackSchema> = {
  id: exampleCallbackId,
  object: 'callback',
  url: 'https://example.com/webhooks',
  events: ['message.*'],
  description: 'Order system',
  enabled: true,
  disabled_reason: null,
  disabled_at: null,
  failing_since: null,
  paused_until: null,
  previous_secret_until: null,
  created_at: exampleTime,
  updated_at: exampleTime,
};

export const exampleCallbackAttempt: z.input<typeof callbackAttemptSchema> = {
  id: 'cba_01kg97xw00fscrrszmz39ef7n3',
  object: 'callback_attempt',
  callback_id: exampleCallbackId,
  event_id: exampleIds.event,
  event_type: 'message.delivered',
  message_id: exampleIds.message,
  number: 1,
  outcome: 'succeeded',
  http_status: 200,
  detail: 'OK',
  duration_ms: 84,
  created_at: exampleLaterTime,
  next_attempt_at: null,
};

export const callbackIdParam = { id: { description: 'The id of the callback.', example: exampleCallbackId } };
