// messaging.message-accepted.v1, our own: that a message was accepted, or scheduled, gets its place in the tenant's feed. Not done in the
// transaction that accepts, which everybody waits for.
import type { Database } from '@maildoot/db/database';
import { type EventLog, type Subscription, UnreadableEvent } from '@maildoot/events/log';
import { together } from '@maildoot/events/together';
import { messageAccepted, PARTITIONS } from '@maildoot/events/topics';
import { idToUuid } from '@maildoot/runtime/ids';
import { keepEvents, ownEvents } from '../keep-events.ts';
import { findMessages } from '../store/outcomes.ts';

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
        await keepEvents(client, messages.flatMap(ownEvents));
      });
      wakeFeed();
    }, maxBatch),
  });
}

function messageIdOf(id: string): string {
  const uuid = idToUuid('msg', id);
  if (uuid === undefined) throw new UnreadableEvent('an acceptance names no message');
  return uuid;
}
