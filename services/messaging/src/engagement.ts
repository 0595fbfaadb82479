// What recipients do with messages: open, click, unsubscribe, complain. Recorded like outcomes, under the message's lock:
//   1. lock the messages                       4. flag the recipients
//   2. who is it, and is it a machine          5. who unsubscribes or complains is not written to again
//   3. keep the events, tell the feed          6. count
import { domainOfAddress } from '@maildoot/mail/address';
import { Engagement, EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { newUuid } from '@maildoot/runtime/ids';
import type pg from 'pg';
import { keepEvents } from './keep-events.ts';
import { judge } from './machine.ts';
import type { Count, Metric } from './stats.ts';
import { addFlags, type EngagementState, readEngagements } from './store/engagement.ts';
import { type LockedMessage, lockMessages, type NewEvent } from './store/outcomes.ts';
import { addCounts } from './store/stats.ts';
import { insertSuppressions, type NewSuppressionRow } from './store/suppression.ts';
import { engagementType } from './timeline.ts';

type Kind = Exclude<EngagementKind, typeof EngagementKind.ENGAGEMENT_KIND_UNSPECIFIED>;

/** Something that a recipient did. */
export interface Engaged {
  messageId: string;
  recipientNumber: number;
  kind: Kind;
  url: string;
  userAgent: string;
  prefetch: boolean;
  at: Date;
}

/** Bits of recipient.flags. */
export const flagOf: Record<Kind, number> = {
  [EngagementKind.ENGAGEMENT_KIND_OPENED]: 1,
  [EngagementKind.ENGAGEMENT_KIND_CLICKED]: 2,
  [EngagementKind.ENGAGEMENT_KIND_COMPLAINED]: 4,
  [EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED]: 8,
};

const metricOf: Record<Kind, Metric> = {
  [EngagementKind.ENGAGEMENT_KIND_OPENED]: 'opened',
  [EngagementKind.ENGAGEMENT_KIND_CLICKED]: 'clicked',
  [EngagementKind.ENGAGEMENT_KIND_COMPLAINED]: 'complained',
  [EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED]: 'unsubscribed',
};

// More of the same tell nothing new, and whoever has a link may ask for it for ever.
const maxEventsOfAKind = 20;
const maxUserAgentChars = 500;

/** Records within the caller's transaction; those whose message is gone leave no trace. */
export async function recordEngagements(client: pg.ClientBase, engaged: readonly Engaged[]): Promise<void> {
  const messages = new Map(
    (await lockMessages(client, [...new Set(engaged.map((one) => one.messageId))].sort())).map((message) => [message.id, message]),
  );
  const states = await statesOf(client, engaged);
  const events: NewEvent[] = [];
  const flags: { messageId: string; number: number; flags: number }[] = [];
  const suppressions: NewSuppressionRow[] = [];
  const counts: Count[] = [];
  for (const one of engaged) {
    const message = messages.get(one.messageId);
    const state = states.get(keyOf(one.messageId, one.recipientNumber, engagementType(one.kind)));
    if (message === undefined || state === undefined) continue;
    const happened = happening(one, state);
    const repeats = one.kind === EngagementKind.ENGAGEMENT_KIND_OPENED || one.kind === EngagementKind.ENGAGEMENT_KIND_CLICKED;
    const flag = happened.machine ? 0 : flagOf[one.kind];
    const isNews = (state.flags & flag) !== flag;
    // Whatever machines did before: what a flag says was told as well.
    if (isNews || state.last < (repeats ? maxEventsOfAKind : 1)) events.push(eventOf(one, message, ++state.last, happened));
    if (isNews) {
      state.flags |= flag;
      flags.push({ messageId: one.messageId, number: one.recipientNumber, flags: flag });
      counts.push({ message, metric: metricOf[one.kind], at: one.at, recipients: 1 });
    }
    const suppression = suppressionOf(one, message, state);
    if (suppression !== undefined) suppressions.push(suppression);
  }
  await keepEvents(client, events);
  await addFlags(client, flags);
  await insertSuppressions(client, suppressions);
  await addCounts(client, counts);
}

async function statesOf(client: pg.ClientBase, engaged: readonly Engaged[]): Promise<Map<string, EngagementState>> {
  const asked = new Map(
    engaged.map(({ messageId, recipientNumber: number, kind }) => {
      const type = engagementType(kind);
      return [keyOf(messageId, number, type), { messageId, number, type }];
    }),
  );
  const rows = await readEngagements(client, [...asked.values()]);
  return new Map(rows.map((row) => [keyOf(row.messageId, row.number, row.type), row]));
}

function keyOf(messageId: string, number: number, type: string): string {
  return `${messageId} ${number} ${type}`;
}

function happening(one: Engaged, state: EngagementState): Engagement {
  const { kind, url } = one;
  const userAgent = one.userAgent.slice(0, maxUserAgentChars).toWellFormed();
  const visits = kind === EngagementKind.ENGAGEMENT_KIND_OPENED || kind === EngagementKind.ENGAGEMENT_KIND_CLICKED;
  const sinceDeliveredMs = state.deliveredAt === null ? undefined : one.at.getTime() - state.deliveredAt.getTime();
  const { machine, reason } = visits
    ? judge({ userAgent, prefetch: one.prefetch, sinceDeliveredMs })
    : { machine: false, reason: '' as const };
  return { kind, url, userAgent, machine, machineReason: reason };
}

function eventOf(one: Engaged, message: LockedMessage, number: number, detail: Engagement): NewEvent {
  return {
    messageId: message.id,
    tenantId: message.tenantId,
    recipientNumber: one.recipientNumber,
    // The place of an attempt's number: which of them it is.
    attempt: number,
    type: engagementType(one.kind),
    id: newUuid(),
    at: one.at,
    detail: Engagement.encode(detail).finish(),
  };
}

function suppressionOf(one: Engaged, message: LockedMessage, state: EngagementState): NewSuppressionRow | undefined {
  const entry = { tenantId: message.tenantId, email: state.email, messageId: message.id };
  if (one.kind === EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED)
    return { ...entry, stream: message.unsubscribeGroup ?? message.stream, reason: SuppressionReason.SUPPRESSION_REASON_UNSUBSCRIBE };
  // Captured mail was in nobody's mailbox.
  if (one.kind === EngagementKind.ENGAGEMENT_KIND_COMPLAINED && !message.captured)
    return { ...entry, stream: message.stream, reason: SuppressionReason.SUPPRESSION_REASON_COMPLAINT };
  return undefined;
}

/** The domain that a page names as the sender. */
export function senderDomain(fromEmail: string): string {
  return domainOfAddress(fromEmail);
}
