// A message's way as events, oldest first: what is known from the message itself (accepted, scheduled), and what delivery told (queued,
// each attempt with the server's words, the end). Message events and the timeline are two arrangements of the same list.
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { Engagement, EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import type { MessageEvent } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { uuidTime, uuidToId } from '@maildoot/runtime/ids';

/** The event type of an outcome. An interrupted attempt is known to have been made and nothing more. */
export function eventType(outcome: Exclude<Outcome, typeof Outcome.OUTCOME_UNSPECIFIED>): string {
  switch (outcome) {
    case Outcome.OUTCOME_DELIVERED:
      return 'message.delivered';
    case Outcome.OUTCOME_DEFERRED:
      return 'message.deferred';
    case Outcome.OUTCOME_BOUNCED:
      return 'message.bounced';
    case Outcome.OUTCOME_FAILED:
      return 'message.failed';
    case Outcome.OUTCOME_INTERRUPTED:
      return 'message.sent_attempt';
    case Outcome.OUTCOME_CANCELLED:
      return 'message.cancelled';
    case Outcome.OUTCOME_SUPPRESSED:
      return 'message.suppressed';
    default:
      return outcome satisfies never;
  }
}

/** The event type of what a recipient did. */
export function engagementType(kind: Exclude<EngagementKind, typeof EngagementKind.ENGAGEMENT_KIND_UNSPECIFIED>): string {
  switch (kind) {
    case EngagementKind.ENGAGEMENT_KIND_OPENED:
      return 'message.opened';
    case EngagementKind.ENGAGEMENT_KIND_CLICKED:
      return 'message.clicked';
    case EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED:
      return 'message.unsubscribed';
    case EngagementKind.ENGAGEMENT_KIND_COMPLAINED:
      return 'message.complained';
    default:
      return kind satisfies never;
  }
}

const engagementTypes: ReadonlySet<string> = new Set(['message.opened', 'message.clicked', 'message.unsubscribed', 'message.complained']);

export const scheduledType = 'message.scheduled';
export const queuedType = 'message.queued';
export const suppressedType = 'message.suppressed';

/** Stands where a recipient's number would: the event is about the message as a whole. */
export const wholeMessage = -1;

/** An event as it is stored. */
export interface StoredEvent {
  id: string;
  recipientNumber: number;
  attempt: number;
  type: string;
  at: Date;
  /** AttemptRecordedEvent, or Engagement for what a recipient did, encoded. */
  detail: Uint8Array;
}

/** What the message itself tells. */
export interface TimelineMessage {
  id: string;
  sendAt: Date | null;
}

/**
 * What the message tells of itself, oldest first: how it was accepted. As it was kept, where it was: a message that was rescheduled has
 * another send_at since.
 */
export function messageEvents(message: TimelineMessage, stored: readonly StoredEvent[] = []): MessageEvent[] {
  const acceptedAt = uuidTime(message.id);
  // Derived, not stored, so their ids are derived too: the message's own bytes under another prefix, one per type.
  const about = (type: string, id: string): MessageEvent => ({
    id,
    type,
    at: acceptedAt,
    recipient: '',
    attempt: undefined,
    engagement: undefined,
  });
  const events = [about('message.accepted', uuidToId('evt', message.id))];
  const kept = stored.filter(isOwn);
  const scheduled =
    kept.length > 0 ? kept.some(({ type }) => type === scheduledType) : message.sendAt !== null && message.sendAt > acceptedAt;
  if (scheduled) events.push(about(scheduledType, uuidToId('evt', derivedUuid(message.id))));
  return events;
}

/** The same with what only the timeline tells: that a template was rendered, which is before the acceptance is durable and no event of its own. */
export function wholeWay(message: TimelineMessage & { templateId: string | null }, stored: readonly StoredEvent[] = []): MessageEvent[] {
  const [accepted, ...later] = messageEvents(message, stored);
  if (message.templateId === null) return [accepted!, ...later];
  return [accepted!, { ...accepted!, id: uuidToId('evt', derivedUuid(message.id, 2)), type: 'message.rendered' }, ...later];
}

/** What happened to one recipient or to many, and to the message since it was accepted, oldest first. */
export function recipientEvents(stored: readonly StoredEvent[], emailOf: (recipientNumber: number) => string): MessageEvent[] {
  return stored
    .filter((event) => !isOwn(event))
    .sort(byTime)
    .map((event) => feedEvent({ ...event, email: emailOf(event.recipientNumber) }));
}

/** One stored event. Without detail it says nothing about an attempt: accepted, scheduled, queued. */
export function feedEvent(event: Pick<StoredEvent, 'id' | 'type' | 'at' | 'detail'> & { email: string | undefined }): MessageEvent {
  const { id, type, at, detail, email } = event;
  const base = { id: uuidToId('evt', id), type, at, recipient: email ?? '', attempt: undefined, engagement: undefined };
  if (detail.length === 0 || type === queuedType) return base;
  if (engagementTypes.has(type)) return { ...base, engagement: Engagement.decode(detail) };
  return { ...base, attempt: AttemptRecordedEvent.decode(detail) };
}

// Of the message's own events, see messageEvents. A rescheduling has a number.
function isOwn({ recipientNumber, attempt }: StoredEvent): boolean {
  return recipientNumber === wholeMessage && attempt === 0;
}

// By time; within a millisecond by recipient, then queued before the attempts before an end that had no attempt of its own.
function byTime(a: StoredEvent, b: StoredEvent): number {
  return a.at.getTime() - b.at.getTime() || a.recipientNumber - b.recipientNumber || place(a) - place(b) || (a.id < b.id ? -1 : 1);
}

function place(event: StoredEvent): number {
  if (event.type === queuedType) return 0;
  // What a recipient does comes behind what was done to reach it.
  if (engagementTypes.has(event.type)) return Number.MAX_SAFE_INTEGER;
  return event.attempt === 0 ? Number.MAX_SAFE_INTEGER - 1 : event.attempt;
}

// The same UUIDv7 with one of its last bits turned.
function derivedUuid(uuid: string, bit = 1): string {
  return uuid.slice(0, -1) + (Number.parseInt(uuid.slice(-1), 16) ^ bit).toString(16);
}
