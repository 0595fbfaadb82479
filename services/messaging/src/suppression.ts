// Whom a tenant does not write to: addresses, compared without case, per stream. A group of unsubscribe is a name like a stream's, so a message
// asks about its stream and about its group. Entries are written by the tenant, by recipients who unsubscribe or complain, and by bounces
// that say the mailbox does not exist; never by a failure that is our own or that may pass.
import { type Bounce, BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import type { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';

export const defaultStream = 'transactional';

/** A name of a stream or a group: short, and without a case of its own to get wrong. */
export const streamName = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** How addresses are compared. Local parts may know case by the standard; nobody's does, and a list that case escapes protects nobody. */
export function foldedAddress(email: string): string {
  return email.toLowerCase();
}

/** The names that a message's recipients are looked up under. */
export function streamsOf(message: Pick<OutgoingMessage, 'stream' | 'unsubscribe'>): string[] {
  const stream = message.stream || defaultStream;
  const group = message.unsubscribe?.group ?? '';
  return group === '' || group === stream ? [stream] : [stream, group];
}

/** Why a recipient gets nothing. */
export interface SuppressionHit {
  stream: string;
  reason: SuppressionReason;
}

/** True for an end that says that there is no such mailbox, and will not be. */
export function suppresses(outcome: Outcome, bounce: Pick<Bounce, 'type' | 'class'> | undefined): boolean {
  return (
    outcome === Outcome.OUTCOME_BOUNCED &&
    bounce?.type === BounceType.BOUNCE_TYPE_PERMANENT &&
    bounce.class === BounceClass.BOUNCE_CLASS_RECIPIENT
  );
}

const reasonWords: Record<SuppressionReason, string> = {
  [SuppressionReason.SUPPRESSION_REASON_UNSPECIFIED]: 'manual',
  [SuppressionReason.SUPPRESSION_REASON_MANUAL]: 'manual',
  [SuppressionReason.SUPPRESSION_REASON_BOUNCE]: 'bounce',
  [SuppressionReason.SUPPRESSION_REASON_COMPLAINT]: 'complaint',
  [SuppressionReason.SUPPRESSION_REASON_UNSUBSCRIBE]: 'unsubscribe',
};

export function reasonWord(reason: number): string {
  return reasonWords[reason as SuppressionReason] ?? 'manual';
}
