// messaging.message-accepted.v1, our own: that a message was accepted, or scheduled, gets its place in the tenant's feed. Not done in the
// transaction that accepts, which everybody waits for.
import type { Database } from '@maildoot/db/database';
import { type EventLog, type Subscription, UnreadableEvent } from '@maildoot/events/log';
import { together } from '@maildoot/events/together';
import { messageAccepted, PARTITIONS } from '@maildoot/events/topics';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { idToUuid, newUuid } from '@maildoot/runtime/ids';
import { keepEvents, ownEvents } from '../keep-events.ts';
import { acceptedCounts, type Count } from '../stats.ts';
import { acceptedKey, findMessages, type NewEvent } from '../store/outcomes.ts';
import { addCounts } from '../store/stats.ts';
import { suppressedType } from '../timeline.ts';

const maxBatch = 500;

export interface MessageAcceptedParts {
  database: Database;
  log: EventLog;
  wakeFeed(): void;
}

export function consumeMessageAccepted({ database, log, wakeFeed }: MessageAcceptedParts): Subscription {
  return log.subscribe(messageAccepted, {
    // A group of its own: members of a group read the same topics.
    group: 'messaging-feed',
    maxBatch,
    concurrency: PARTITIONS,
    handle: together(async (records) => {
      const ids = records.map(({ event }) => messageIdOf(event.messageId));
      await database.transaction(async (client) => {
        // One that has outlived its retention meanwhile has no place to be told in.
        const messages = await findMessages(client, ids);
        const told = new Map(records.map(({ event }, index) => [ids[index], event]));
        const fresh = await keepEvents(client, [
          ...(await ownEvents(client, messages)),
          ...messages.flatMap((message) => suppressedEvents(message, told.get(message.id))),
        ]);
        await addCounts(
          client,
          messages.flatMap((message) => countsOf(message, told.get(message.id), fresh)),
        );
      });
      wakeFeed();
    }, maxBatch),
  });
}

const noDetail = new Uint8Array();

// Whoever keeps `accepted` first counts it: here mostly, and record-outcomes.ts when an outcome was quicker.
function countsOf(
  message: Count['message'] & { id: string },
  event: MessageAcceptedEvent | undefined,
  fresh: ReadonlySet<string>,
): Count[] {
  if (event === undefined || !fresh.has(acceptedKey(message.id))) return [];
  const suppressed = event.suppressed.length;
  return acceptedCounts(message, { recipients: event.recipients.length + suppressed, suppressed });
}

function suppressedEvents(message: { id: string; tenantId: string }, event: MessageAcceptedEvent | undefined): NewEvent[] {
  return (event?.suppressed ?? []).map(({ number }) => ({
    messageId: message.id,
    tenantId: message.tenantId,
    recipientNumber: number,
    attempt: 0,
    type: suppressedType,
    id: newUuid(),
    at: event?.acceptedAt ?? new Date(0),
    detail: noDetail,
  }));
}

function messageIdOf(id: string): string {
  const uuid = idToUuid('msg', id);
  if (uuid === undefined) throw new UnreadableEvent('an acceptance names no message');
  return uuid;
}
