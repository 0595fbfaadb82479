// GET /v1/events: everything that happens to the tenant's messages, in one order, as pages or as a stream.
import { ListEventsRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { feedEventJson } from '@maildoot/webhooks/event-json';
import { z } from 'zod';
import { validationError } from '../errors.ts';
import { exampleEventStream, exampleEvents } from '../event-examples.ts';
import { eventSchema } from '../event-json.ts';
import { eventFrames, type StreamPage } from '../event-streams.ts';
import { listSchema } from '../list-json.ts';
import { limitField, positionField } from '../query.ts';
import { type Answer, type Call, defineRoute, json } from '../route.ts';
import { telemetry } from '../telemetry.ts';

const streamType = 'text/event-stream';
const streamPageEvents = 100;
const deadlineMs = 5_000;

export const getEvents = defineRoute({
  method: 'GET',
  path: '/v1/events',
  operationId: 'listEvents',
  tag: 'Events',
  summary: 'Follow everything that happens',
  description:
    'The same events as webhooks get, of all your messages, in one order, kept for 30 days. `seq` increases from event to event: remember the last one that you are done with and ask for what comes `after` it; nothing that is recorded later has a lower one.\n\n' +
    'With `Accept: text/event-stream` the answer goes on as server-sent events, with `seq` as their id and a comment every 15 s in which nothing happens. It may end at any time; a client that comes back with `Last-Event-ID`, as browsers do, misses nothing. ' +
    'A reader that does not keep up is cut off. An event whose message is kept no longer is left out.',
  scopes: ['read', 'full'],
  query: z.strictObject({
    limit: limitField(),
    after: positionField('invalid_position', 'The `seq` behind which to start; without it, the oldest event that is kept.'),
    cursor: positionField('invalid_cursor', 'The `next_cursor` of the page before. The further one counts, if `after` is given as well.'),
  }),
  headers: {
    'Last-Event-ID': {
      description: 'The id of the last event that a stream before had. Counts if it is further than `after`.',
      example: '1812322713612289',
    },
  },
  errors: ['RATE_LIMITED'],
  responses: [
    {
      status: 200,
      description: 'A page of events, oldest first; `next_cursor` is null where the feed ends at this moment. Or a stream.',
      schema: listSchema('EventList', eventSchema),
      example: { data: exampleEvents, next_cursor: null },
      otherForm: { contentType: streamType, example: exampleEventStream },
    },
  ],
  handle: async ({ query: { limit, after, cursor }, headers }, call) => {
    const streamed = wantsStream(call.header('accept'));
    const given = [after ?? 0, cursor ?? 0, ...(streamed ? [lastEventId(headers['Last-Event-ID'])] : [])];
    const from = BigInt(Math.max(...given));
    if (streamed) return await stream(from, call);
    const { events, nextAfter, hasMore } = await ask(call, from, limit, 0);
    return json(200, { data: events.map(feedEventJson), next_cursor: hasMore ? String(nextAfter) : null });
  },
});

async function stream(from: bigint, call: Call): Promise<Answer> {
  const { eventStreams, principal, logger, requestId, signal } = call;
  const { limits } = eventStreams;
  const place = eventStreams.open(principal.tenantId);
  const page = async (after: bigint, waitMs: number): Promise<StreamPage> => {
    const { events, nextAfter } = await ask(call, after, streamPageEvents, waitMs, signal);
    return { events: events.map(feedEventJson), next: nextAfter };
  };
  try {
    // What can't be answered is refused while there still is a status to say so.
    const first = await page(from, 0);
    const onCut = (cause: unknown) => telemetry.eventStreamCut(logger, requestId, cause);
    const frames = eventFrames({ first, limits, signal, page, recheck: call.recheck, onCut, nowMs: () => performance.now() });
    return {
      status: 200,
      // Proxies that collect answers would hold events back; a connection kept after its stream would keep the gateway from stopping.
      headers: { 'X-Accel-Buffering': 'no', Connection: 'close' },
      content: { stream: closing(frames, place), contentType: streamType, stalledAfterMs: limits.stalledAfterMs },
    };
  } catch (error) {
    place[Symbol.dispose]();
    throw error;
  }
}

async function* closing(frames: AsyncGenerator<Uint8Array>, place: Disposable): AsyncGenerator<Uint8Array> {
  using _ = place;
  yield* frames;
}

function ask({ peers, principal, requestId, signal }: Call, after: bigint, limit: number, waitMs: number, until = signal) {
  return peers.messaging.listEvents(ListEventsRequest.fromPartial({ after, limit, waitMs }), {
    tenantId: principal.tenantId,
    requestId,
    signal: until,
    deadlineMs: waitMs + deadlineMs,
  });
}

/** A stream, where it is named and JSON isn't liked at least as much: who takes both gets a page. */
function wantsStream(accept = ''): boolean {
  const liked = new Map(
    accept.split(',').map((range) => {
      const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
      const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      return [type, quality === undefined ? 1 : Number(quality)];
    }),
  );
  return (liked.get(streamType) ?? 0) > (liked.get('application/json') ?? 0);
}

function lastEventId(text: string | undefined): number {
  const seq = text === undefined || text === '' ? 0 : /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(seq)) return seq;
  throw validationError([{ path: 'Last-Event-ID', code: 'invalid_position', message: 'This is not the id of an event of the stream.' }]);
}
