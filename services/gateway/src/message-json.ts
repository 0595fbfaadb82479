// Messages as the API shows them.
import {
  type Address,
  type GetTimelineResponse,
  type Message,
  type MessageEvent,
  MessageStatus,
  type Recipient,
  RecipientKind,
  RecipientStatus,
  type RecipientTimeline,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { attemptJson, bounceClasses, bounceJson, bounceTypes, outcomes } from '@maildoot/webhooks/attempt-json';
import { engagementJson } from '@maildoot/webhooks/engagement-json';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { actors, explain } from '@maildoot/webhooks/explain';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { callbackAttemptJson, callbackAttemptSchema } from './callback-json.ts';
import { cursorAfter } from './cursor.ts';

export const messageStatus = enumWords(MessageStatus, 'MESSAGE_STATUS_');
const recipientStatus = enumWords(RecipientStatus, 'RECIPIENT_STATUS_');
const recipientKind = enumWords(RecipientKind, 'RECIPIENT_KIND_');

// ── schemas ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

const time = z.iso.datetime();
const word = (words: readonly [string, ...string[]]): z.ZodType<string> => z.enum([...words, unknownWord]);
export const messageStatusWord = word(messageStatus.words);

const addressSchema = z.strictObject({ email: z.string(), name: z.string().nullable() }).meta({ id: 'Address' });

const bounceSchema = z.strictObject({ type: word(bounceTypes.words), class: word(bounceClasses.words), diagnostic: z.string() }).meta({
  id: 'Bounce',
  description: 'Why a recipient did not get the message. `diagnostic` as in RFC 3464: `smtp; 550 5.1.1 user unknown`.',
});

const recipientSchema = z
  .strictObject({
    email: z.string(),
    name: z.string().nullable(),
    kind: word(recipientKind.words),
    status: word(recipientStatus.words),
    attempts: z.int().meta({ description: 'How many times delivery was tried.' }),
    next_attempt_at: time.nullable(),
    bounce: bounceSchema.nullable(),
    opened: z.boolean().meta({ description: 'By a person, as far as can be told; only where `tracking` asked for it.' }),
    clicked: z.boolean(),
    complained: z.boolean(),
    unsubscribed: z.boolean(),
  })
  .meta({ id: 'Recipient' });

const sessionSchema = z
  .strictObject({
    host: z.string().nullable().meta({ description: 'The MX or smarthost.' }),
    remote_address: z.string().nullable(),
    local_address: z.string().nullable(),
    tls_version: z.string().nullable().meta({ description: 'Null: not encrypted.' }),
    tls_policy: z.string().nullable(),
    command: z.string().nullable().meta({ description: 'The SMTP command that was answered.' }),
    reply_code: z.int().nullable(),
    enhanced_code: z.string().nullable().meta({ description: 'RFC 3463.' }),
    reply: z.string().nullable().meta({ description: 'The server’s words.' }),
  })
  .meta({ id: 'SmtpSession' });

export const attemptSchema = z
  .strictObject({
    number: z.int(),
    outcome: word(outcomes.words),
    summary: z.string().meta({ description: 'What happened, in a sentence.' }),
    started_at: time.nullable(),
    finished_at: time.nullable(),
    duration_ms: z.int().nullable(),
    next_attempt_at: time.nullable(),
    possible_duplicate: z
      .boolean()
      .meta({ description: 'How an earlier attempt ended is not known: the recipient may get the message twice.' }),
    session: sessionSchema.nullable(),
    bounce: bounceSchema.nullable(),
  })
  .meta({ id: 'Attempt' });

export const engagementSchema = z
  .strictObject({
    url: z.string().nullable().meta({ description: 'Where the link leads; null but for clicks.' }),
    user_agent: z.string().nullable(),
    machine: z.boolean().meta({ description: 'A program did it, as far as can be told: such openings and clicks are not counted.' }),
    machine_reason: z
      .string()
      .nullable()
      .meta({ examples: ['apple_privacy'] }),
  })
  .meta({ id: 'Engagement' });

const eventSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('event'),
    type: z.string().meta({ examples: ['message.delivered'] }),
    at: time.meta({ description: 'When it happened.' }),
    created_at: time.meta({ description: 'The same as `at`.' }),
    recipient: z.string().nullable().meta({ description: 'Null: about the message as a whole.' }),
    attempt: attemptSchema.nullable(),
    engagement: engagementSchema.nullable().meta({ description: 'What the recipient did.' }),
  })
  .meta({ id: 'MessageEvent' });

const explanationSchema = z
  .strictObject({
    cause: z.string().meta({ description: 'Why the recipient stands where it does, in a sentence.' }),
    who_must_act: z.enum(actors).meta({
      description:
        '`nobody`: it is done, or goes on by itself; `you`: the sender; `recipient`: who reads the mail; `receiver`: who runs the receiving servers; `operator`: who runs this installation.',
    }),
    action: z.string().meta({ description: 'What to do.' }),
    next_retry_at: time.nullable().meta({ description: 'Null: there is no further attempt, or none is fixed yet.' }),
  })
  .meta({ id: 'Explanation' });

const messageFields = {
  id: z.string(),
  object: z.literal('message'),
  status: messageStatusWord,
  created_at: time,
  send_at: time.nullable(),
  from: addressSchema,
  to: z.array(addressSchema),
  cc: z.array(addressSchema),
  bcc: z.array(addressSchema),
  reply_to: z.array(addressSchema),
  subject: z.string(),
  tags: z.array(z.string()),
  metadata: z.record(z.string(), z.string()),
  batch_id: z.string().nullable(),
  size_bytes: z.int(),
  captured: z.boolean().meta({ description: 'It went to the built-in inbox and nowhere else.' }),
  inbox: z.string().nullable().meta({ description: 'Where captured mail can be read; null for what wasn’t captured.' }),
  stream: z.string(),
  template_id: z.string().nullable(),
  pool: z.string().nullable().meta({ description: 'Null: the default.' }),
  tracking: z.strictObject({ opens: z.boolean(), clicks: z.boolean() }),
  recipients: z.array(recipientSchema),
};

export const messageSchema = z.strictObject(messageFields).meta({ id: 'Message' });
export const messageWithEventsSchema = z
  .strictObject({ ...messageFields, events: z.array(eventSchema).meta({ description: 'Oldest first.' }) })
  .meta({ id: 'MessageWithEvents' });

export const timelineSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('timeline'),
    status: messageStatusWord,
    created_at: time,
    events: z.array(eventSchema).meta({ description: 'What concerns the message as a whole, oldest first.' }),
    webhook_attempts: z
      .array(callbackAttemptSchema)
      .meta({ description: 'What callbacks were told of the message as a whole, oldest first.' }),
    recipients: z.array(
      recipientSchema
        .extend({
          attempts: z.array(attemptSchema).meta({ description: 'Oldest first.' }),
          events: z.array(eventSchema),
          webhook_attempts: z
            .array(callbackAttemptSchema)
            .meta({ description: 'What callbacks were told of this recipient, oldest first.' }),
          explain: explanationSchema.nullable().meta({ description: 'Null with `explain=false`.' }),
        })
        .meta({ id: 'RecipientTimeline' }),
    ),
    next_cursor: z.string().nullable().meta({ description: 'For `cursor`; null: no webhook attempts are left to show.' }),
  })
  .meta({ id: 'Timeline' });

export type MessageJson = z.input<typeof messageSchema>;

// ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param publicUrl where the inbox is shown */
export function messageJson(message: Message, publicUrl: string): MessageJson {
  const ofKind = (kind: RecipientKind) =>
    message.recipients.filter((recipient) => recipient.kind === kind).map((recipient) => addressJson(recipient.address));
  return {
    id: message.id,
    object: 'message',
    status: messageStatus.wordOf(message.status),
    created_at: timeOf(message.createdAt, message.id),
    send_at: timeJson(message.sendAt),
    from: addressJson(message.from),
    to: ofKind(RecipientKind.RECIPIENT_KIND_TO),
    cc: ofKind(RecipientKind.RECIPIENT_KIND_CC),
    bcc: ofKind(RecipientKind.RECIPIENT_KIND_BCC),
    reply_to: message.replyTo.map(addressJson),
    subject: message.subject,
    tags: message.tags,
    metadata: message.metadata,
    batch_id: message.batchId || null,
    size_bytes: Number(message.sizeBytes),
    captured: message.captured,
    inbox: message.captured ? inboxUrl(publicUrl) : null,
    stream: message.stream,
    template_id: message.templateId || null,
    pool: message.pool || null,
    tracking: { opens: message.trackOpens, clicks: message.trackClicks },
    recipients: message.recipients.map(recipientJson),
  };
}

export function messageWithEventsJson(
  message: Message,
  events: readonly MessageEvent[],
  publicUrl: string,
): z.input<typeof messageWithEventsSchema> {
  return { ...messageJson(message, publicUrl), events: events.map(eventJson) };
}

export function inboxUrl(publicUrl: string): string {
  return `${publicUrl}/inbox`;
}

/** @param suspended whether the account is, which explains why nothing moves */
export function timelineJson(
  timeline: GetTimelineResponse,
  { explained, suspended }: { explained: boolean; suspended: boolean },
): z.input<typeof timelineSchema> {
  const told = (number: number) => timeline.callbackAttempts.filter((one) => one.recipientNumber === number).map(callbackAttemptJson);
  return {
    id: timeline.id,
    object: 'timeline',
    status: messageStatus.wordOf(timeline.status),
    created_at: timeOf(undefined, timeline.id),
    events: timeline.events.map(eventJson),
    webhook_attempts: told(-1),
    recipients: timeline.recipients.flatMap(({ recipient, events }: RecipientTimeline) =>
      recipient === undefined
        ? []
        : [
            {
              ...recipientJson(recipient),
              attempts: events.flatMap(({ attempt }) => (attempt && attempt.attempt > 0 ? [attemptJson(attempt)] : [])),
              events: events.map(eventJson),
              webhook_attempts: told(recipient.number),
              explain: explained ? explain({ ...recipient, suspended, attempt: events.findLast(({ attempt }) => attempt)?.attempt }) : null,
            },
          ],
    ),
    next_cursor: timeline.nextAttemptsAfterId ? cursorAfter('cba', timeline.nextAttemptsAfterId) : null,
  };
}

function recipientJson(recipient: Recipient): z.input<typeof recipientSchema> {
  return {
    ...addressJson(recipient.address),
    kind: recipientKind.wordOf(recipient.kind),
    status: recipientStatus.wordOf(recipient.status),
    attempts: recipient.attempts,
    next_attempt_at: timeJson(recipient.nextAttemptAt),
    bounce: bounceJson(recipient.bounce),
    opened: recipient.opened,
    clicked: recipient.clicked,
    complained: recipient.complained,
    unsubscribed: recipient.unsubscribed,
  };
}

function eventJson(event: MessageEvent): z.input<typeof eventSchema> {
  return {
    id: event.id,
    object: 'event',
    type: event.type,
    at: timeOf(event.at, event.id),
    created_at: timeOf(event.at, event.id),
    recipient: event.recipient || null,
    attempt: event.attempt === undefined ? null : attemptJson(event.attempt),
    engagement: event.engagement === undefined ? null : engagementJson(event.engagement),
  };
}

function addressJson(address: Address | undefined): z.input<typeof addressSchema> {
  return { email: address?.email ?? '', name: address?.name || null };
}
