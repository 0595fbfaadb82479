// Where a recipient and a message stand, and how they move. A recipient moves forward only, by (attempt number, rank), so that events
// that arrive late, twice or out of order end in the same status. A message's status is read off the counters of its recipients'
// statuses, which are kept in the same transaction, because reading 1,000 recipients per event costs what a counter doesn't.
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';

/** Where a recipient stands: its status, and the number of the last attempt known (0 = none yet). */
export interface Standing {
  status: RecipientStatus;
  attempt: number;
}

/** Recipients per status; the place in the list is the number of the status. */
export type StatusCounts = number[];

type KnownOutcome = Exclude<Outcome, typeof Outcome.OUTCOME_UNSPECIFIED>;

const knownOutcomes: ReadonlySet<number> = new Set(Object.values(Outcome).filter((value) => value !== Outcome.OUTCOME_UNSPECIFIED));

/** False for a value that a newer producer made up: such a record is parked, never guessed at. */
export function isKnownOutcome(outcome: number): outcome is KnownOutcome {
  return knownOutcomes.has(outcome);
}

/** The status that an outcome stands for. An interrupted attempt may have ended either way and another one follows, so it is still `sending`. */
export function statusOfOutcome(outcome: KnownOutcome): RecipientStatus {
  switch (outcome) {
    case Outcome.OUTCOME_DELIVERED:
      return RecipientStatus.RECIPIENT_STATUS_DELIVERED;
    case Outcome.OUTCOME_DEFERRED:
      return RecipientStatus.RECIPIENT_STATUS_DEFERRED;
    case Outcome.OUTCOME_BOUNCED:
      return RecipientStatus.RECIPIENT_STATUS_BOUNCED;
    case Outcome.OUTCOME_FAILED:
      return RecipientStatus.RECIPIENT_STATUS_FAILED;
    case Outcome.OUTCOME_INTERRUPTED:
      return RecipientStatus.RECIPIENT_STATUS_SENDING;
    case Outcome.OUTCOME_CANCELLED:
      return RecipientStatus.RECIPIENT_STATUS_CANCELLED;
    case Outcome.OUTCOME_SUPPRESSED:
      return RecipientStatus.RECIPIENT_STATUS_SUPPRESSED;
    default:
      return outcome satisfies never;
  }
}

// Within one attempt. What the remote server said outranks what we decided: a cancellation and a 250 of the same attempt end as delivered.
const rank: Record<RecipientStatus, number> = {
  [RecipientStatus.RECIPIENT_STATUS_UNSPECIFIED]: 0,
  [RecipientStatus.RECIPIENT_STATUS_SCHEDULED]: 1,
  [RecipientStatus.RECIPIENT_STATUS_QUEUED]: 2,
  [RecipientStatus.RECIPIENT_STATUS_SENDING]: 3,
  [RecipientStatus.RECIPIENT_STATUS_DEFERRED]: 4,
  [RecipientStatus.RECIPIENT_STATUS_SUPPRESSED]: 5,
  [RecipientStatus.RECIPIENT_STATUS_CANCELLED]: 6,
  [RecipientStatus.RECIPIENT_STATUS_FAILED]: 7,
  [RecipientStatus.RECIPIENT_STATUS_BOUNCED]: 8,
  [RecipientStatus.RECIPIENT_STATUS_DELIVERED]: 9,
};

/** True when nothing more is tried for a recipient in this status. */
export function isEnd(status: RecipientStatus): boolean {
  return rank[status] >= rank[RecipientStatus.RECIPIENT_STATUS_SUPPRESSED];
}

/**
 * Where a recipient stands after an outcome; undefined = where it stood, the outcome is older or weaker than what is known.
 * Attempt 0 means an end without an attempt of its own (cancelled, given up), which counts as the last attempt known.
 * An end is not left for an open status, and delivered is not left at all, whatever the attempt number says.
 */
export function standingAfter(current: Standing, attempt: number, outcome: KnownOutcome): Standing | undefined {
  const status = statusOfOutcome(outcome);
  if (current.status === RecipientStatus.RECIPIENT_STATUS_DELIVERED) return undefined;
  if (isEnd(current.status) && !isEnd(status)) return undefined;
  const effective = attempt === 0 ? current.attempt : attempt;
  const forward = effective > current.attempt || (effective === current.attempt && rank[status] > rank[current.status]);
  return forward ? { status, attempt: effective } : undefined;
}

/**
 * Where a recipient stands after a report that gives up, which comes after its server had taken the message; undefined = where it stood.
 * This alone leaves `delivered`. The report may be here before the attempt was recorded, so an open status is left as well.
 */
export function statusAfterReport(current: RecipientStatus): RecipientStatus | undefined {
  const leaves = current === RecipientStatus.RECIPIENT_STATUS_DELIVERED || !isEnd(current);
  return leaves ? RecipientStatus.RECIPIENT_STATUS_BOUNCED : undefined;
}

/** Counters with `total` recipients in one status. */
export function initialCounts(status: RecipientStatus, total: number): StatusCounts {
  const counts = new Array<number>(Object.keys(RecipientStatus).length).fill(0);
  counts[status] = total;
  return counts;
}

/** Counters of recipients that stand differently. */
export function countsOf(statuses: readonly RecipientStatus[]): StatusCounts {
  const counts = initialCounts(RecipientStatus.RECIPIENT_STATUS_UNSPECIFIED, 0);
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Moves one recipient between two counters. */
export function moveCount(counts: StatusCounts, from: RecipientStatus, to: RecipientStatus): void {
  counts[from] = (counts[from] ?? 0) - 1;
  counts[to] = (counts[to] ?? 0) + 1;
}

/**
 * The message's status. While a recipient is open: `scheduled` or `queued` while all open ones are and none has ended by delivery or
 * refusal, `deferred` when all open ones wait for another attempt, `sending` for any mixture. When all have ended: the one they share;
 * some delivered → `partially_delivered`; none delivered → `bounced` over `failed` over `suppressed` over `cancelled`.
 */
export function messageStatus(counts: StatusCounts): MessageStatus {
  const of = (status: RecipientStatus) => counts[status] ?? 0;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const scheduled = of(RecipientStatus.RECIPIENT_STATUS_SCHEDULED);
  const queued = of(RecipientStatus.RECIPIENT_STATUS_QUEUED);
  const deferred = of(RecipientStatus.RECIPIENT_STATUS_DEFERRED);
  const open = scheduled + queued + deferred + of(RecipientStatus.RECIPIENT_STATUS_SENDING);
  const delivered = of(RecipientStatus.RECIPIENT_STATUS_DELIVERED);
  const tried = delivered + of(RecipientStatus.RECIPIENT_STATUS_BOUNCED) + of(RecipientStatus.RECIPIENT_STATUS_FAILED);
  if (open > 0) {
    if (deferred === open) return MessageStatus.MESSAGE_STATUS_DEFERRED;
    if (tried === 0 && scheduled === open) return MessageStatus.MESSAGE_STATUS_SCHEDULED;
    if (tried === 0 && queued + scheduled === open) return MessageStatus.MESSAGE_STATUS_QUEUED;
    return MessageStatus.MESSAGE_STATUS_SENDING;
  }
  if (delivered === total) return MessageStatus.MESSAGE_STATUS_DELIVERED;
  if (delivered > 0) return MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED;
  if (of(RecipientStatus.RECIPIENT_STATUS_BOUNCED) > 0) return MessageStatus.MESSAGE_STATUS_BOUNCED;
  if (of(RecipientStatus.RECIPIENT_STATUS_FAILED) > 0) return MessageStatus.MESSAGE_STATUS_FAILED;
  if (of(RecipientStatus.RECIPIENT_STATUS_SUPPRESSED) > 0) return MessageStatus.MESSAGE_STATUS_SUPPRESSED;
  return MessageStatus.MESSAGE_STATUS_CANCELLED;
}
