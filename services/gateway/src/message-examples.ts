// A message and its way, as the reference shows them.
import type { z } from 'zod';
import { exampleCallbackAttempt } from './callback-json.ts';
import { exampleIds, exampleLaterTime, exampleTime } from './examples.ts';
import type { MessageJson, messageWithEventsSchema, timelineSchema } from './message-json.ts';

const recipient = {
  email: 'user@example.com',
  name: null,
  kind: 'to',
  status: 'delivered',
  attempts: 1,
  next_attempt_at: null,
  bounce: null,
  opened: false,
  clicked: false,
  complained: false,
  unsubscribed: false,
};

export const exampleMessage: MessageJson = {
  id: exampleIds.message,
  object: 'message',
  status: 'delivered',
  created_at: exampleTime,
  send_at: null,
  from: { email: 'no-reply@yourdomain.com', name: null },
  to: [{ email: 'user@example.com', name: null }],
  cc: [],
  bcc: [],
  reply_to: [],
  subject: 'Order Confirmed',
  tags: ['order'],
  metadata: { order: '4711' },
  batch_id: null,
  size_bytes: 742,
  captured: false,
  inbox: null,
  stream: 'transactional',
  template_id: null,
  pool: null,
  tracking: { opens: false, clicks: false },
  recipients: [recipient],
};

export const exampleAttempt = {
  number: 1,
  outcome: 'delivered',
  summary: 'mx.example.com took the message over TLSv1.3 in 212 ms: 250 2.0.0 OK.',
  started_at: '2026-01-31T08:00:00.200Z',
  finished_at: exampleLaterTime,
  duration_ms: 212,
  next_attempt_at: null,
  possible_duplicate: false,
  session: {
    host: 'mx.example.com',
    remote_address: '203.0.113.25:25',
    local_address: '198.51.100.7:50112',
    tls_version: 'TLSv1.3',
    tls_policy: 'opportunistic',
    command: 'DATA',
    reply_code: 250,
    enhanced_code: '2.0.0',
    reply: '2.0.0 OK',
  },
  bounce: null,
};

const accepted = {
  id: exampleIds.event,
  object: 'event',
  type: 'message.accepted',
  at: exampleTime,
  created_at: exampleTime,
  recipient: null,
  attempt: null,
  engagement: null,
} as const;
const delivered = {
  id: 'evt_01kg97xw00fscrrszmz39ef7ms',
  object: 'event',
  type: 'message.delivered',
  at: exampleLaterTime,
  created_at: exampleLaterTime,
  recipient: 'user@example.com',
  attempt: exampleAttempt,
  engagement: null,
} as const;

export const exampleMessageWithEvents: z.input<typeof messageWithEventsSchema> = { ...exampleMessage, events: [accepted, delivered] };

export const exampleTimeline: z.input<typeof timelineSchema> = {
  id: exampleIds.message,
  object: 'timeline',
  status: 'delivered',
  created_at: exampleTime,
  events: [accepted],
  webhook_attempts: [],
  recipients: [
    {
      ...recipient,
      attempts: [exampleAttempt],
      events: [delivered],
      webhook_attempts: [exampleCallbackAttempt],
      explain: {
        cause: 'The recipient’s server took the message.',
        who_must_act: 'nobody',
        action: 'Nothing is left to do.',
        next_retry_at: null,
      },
    },
  ],
  next_cursor: null,
};

export const exampleMime =
  'From: no-reply@yourdomain.com\r\nTo: user@example.com\r\nSubject: Order Confirmed\r\nMessage-ID: <msg_01kg97xw00fscrrszmz39ef7mp@yourdomain.com>\r\n' +
  'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nYour order is confirmed!\r\n';
