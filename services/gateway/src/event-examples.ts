// The feed, as the reference shows it.
import type { EventJson } from '@maildoot/webhooks/event-json';
import { exampleIds, exampleLaterTime, exampleTime } from './examples.ts';
import { exampleAttempt } from './message-examples.ts';

const data = { message_id: exampleIds.message, batch_id: null, tags: ['order'], metadata: { order: '4711' } };

export const exampleEvents: EventJson[] = [
  {
    id: exampleIds.event,
    object: 'event',
    seq: 1812322713612289,
    type: 'message.accepted',
    created_at: '2026-01-31T08:00:00.012Z',
    timestamp: exampleTime,
    data: { ...data, recipient: null, attempt: null, engagement: null },
  },
  {
    id: 'evt_01kg97xw00fscrrszmz39ef7ms',
    object: 'event',
    seq: 1812322714041345,
    type: 'message.delivered',
    created_at: '2026-01-31T08:00:00.431Z',
    timestamp: exampleLaterTime,
    data: { ...data, recipient: 'user@example.com', attempt: exampleAttempt, engagement: null },
  },
];

export const exampleEventStream = `retry: 1000\n\n${exampleEvents
  .slice(0, 1)
  .map((event) => `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join('')}: nothing new\n\n`;
