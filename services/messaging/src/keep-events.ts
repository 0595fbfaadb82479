// Keeping events: each once, and each that is new told to the feed in the same transaction. A message's own events (accepted, scheduled)
// follow from the message; they are kept so that they have a place in the feed before everything else about it.
import { idToUuid } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { feedRows } from './feed.ts';
import { tellFeed } from './store/feed.ts';
import { acceptanceKept, eventKey, insertEvents, type LockedMessage, type NewEvent } from './store/outcomes.ts';
import { messageEvents, scheduledType, wholeMessage } from './timeline.ts';

const noDetail = new Uint8Array();

type OwnMessage = Pick<LockedMessage, 'id' | 'tenantId' | 'sendAt'>;

/** Within the caller's transaction. Answers the keys (see eventKey) of those that were new. */
export async function keepEvents(client: pg.ClientBase, events: readonly NewEvent[]): Promise<Set<string>> {
  // Two who keep the same events in opposite order would deadlock. A message's events stay in their order.
  const sorted = events.toSorted((a, b) => (a.messageId < b.messageId ? -1 : a.messageId > b.messageId ? 1 : 0));
  const fresh = await insertEvents(client, sorted);
  const untold = new Set(fresh);
  // Taken out of the set: of two equal events one is told.
  const told = sorted.filter((event) => untold.delete(keyOf(event)));
  await tellFeed(client, feedRows(told));
  return fresh;
}

/**
 * What messages tell of themselves, as rows, for keepEvents. Of one whose acceptance is kept nothing: its send_at may be another since (see
 * reschedule.ts, which keeps them before), and would tell of a scheduling at the acceptance that never was.
 */
export async function ownEvents(client: pg.ClientBase, messages: readonly OwnMessage[]): Promise<NewEvent[]> {
  const events = messages.flatMap(eventsOf);
  const scheduled = events.filter(({ type }) => type === scheduledType).map(({ messageId }) => messageId);
  const kept = await acceptanceKept(client, scheduled);
  return events.filter(({ messageId }) => !kept.has(messageId));
}

function eventsOf(message: OwnMessage): NewEvent[] {
  return messageEvents(message).map(({ id, type, at }) => ({
    messageId: message.id,
    tenantId: message.tenantId,
    recipientNumber: wholeMessage,
    attempt: 0,
    type,
    // They have the ids that the timeline derives from the message's.
    id: idToUuid('evt', id)!,
    at: at!,
    detail: noDetail,
  }));
}

function keyOf({ messageId, recipientNumber, attempt, type }: NewEvent): string {
  return eventKey(messageId, recipientNumber, attempt, type);
}
