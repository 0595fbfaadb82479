// From what a server said, or didn't, to what is recorded: the outcome, when the next attempt is, and the event that tells others.

import type { SmtpReply } from '@maildoot/mail/reply';
import { AttemptRecordedEvent, Bounce, BounceType, Outcome, SmtpSession } from '@maildoot/proto/maildoot/delivery/v1/events';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Stage, Trouble, Verdict } from './classify.ts';
import { nextAttemptAt } from './retry.ts';
import type { SessionFacts } from './session.ts';
import type { AttemptEnd } from './store/attempt.ts';
import type { DueRow } from './store/due.ts';

/** A host that was tried and did not take the message, before the one that the session names. */
export interface HostFailure {
  host: string;
  verdict: Verdict;
}

/** How the attempt went for one recipient. */
export type Answer = { kind: 'accepted'; reply: SmtpReply } | { kind: 'failed'; trouble: Trouble; verdict: Verdict };

export interface Attempted {
  row: DueRow;
  answer: Answer;
  /** Undefined where no host was reached or even known. */
  facts: SessionFacts | undefined;
  earlier: readonly HostFailure[];
  startedAt: Date;
  finishedAt: Date;
  /** Where the next attempt queues. */
  destination: string;
  traceparent: string | undefined;
}

/** Decides what an attempt's end means for its row, and says it. */
export function endOf(attempted: Attempted, scheduleSeconds: readonly number[]): AttemptEnd {
  const { row, answer } = attempted;
  const decided = decide(attempted, scheduleSeconds);
  const possibleDuplicate = row.possibleDuplicate || (answer.kind === 'failed' && answer.verdict.unknown);
  const event = AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', row.messageId),
    tenantId: uuidToId('ten', row.tenantId),
    recipientNumber: row.recipientNumber,
    recipient: row.address,
    attempt: row.attempt,
    outcome: decided.outcome,
    queuedAt: row.queuedAt,
    startedAt: attempted.startedAt,
    finishedAt: attempted.finishedAt,
    possibleDuplicate,
  });
  event.nextAttemptAt = decided.nextAt;
  event.session = sessionOf(attempted);
  event.bounce = answer.kind === 'failed' ? bounceOf(answer.verdict, attempted.earlier, decided.gaveUp) : undefined;
  return {
    messageId: row.messageId,
    recipientNumber: row.recipientNumber,
    tenantId: row.tenantId,
    incarnation: row.incarnation,
    claims: row.claims,
    event,
    traceparent: attempted.traceparent,
    next: decided.nextAt === undefined ? undefined : { dueAt: decided.nextAt, destination: attempted.destination, possibleDuplicate },
  };
}

/** The end of a recipient that is not written to any more. No attempt was made, so the event has no number of one. */
export function suppressedEnd(row: DueRow, finishedAt: Date): AttemptEnd {
  const { messageId, recipientNumber, tenantId, incarnation, claims, traceparent, possibleDuplicate, queuedAt, address } = row;
  const event = AttemptRecordedEvent.fromPartial({
    messageId: uuidToId('msg', messageId),
    tenantId: uuidToId('ten', tenantId),
    ...{ recipientNumber, recipient: address, outcome: Outcome.OUTCOME_SUPPRESSED, queuedAt, finishedAt, possibleDuplicate },
  });
  return { messageId, recipientNumber, tenantId, incarnation, claims, event, traceparent, next: undefined };
}

function decide(
  { row, answer, finishedAt }: Attempted,
  scheduleSeconds: readonly number[],
): { outcome: Outcome; nextAt: Date | undefined; gaveUp: boolean } {
  if (answer.kind === 'accepted') return { outcome: Outcome.OUTCOME_DELIVERED, nextAt: undefined, gaveUp: false };
  const { verdict } = answer;
  // What is our fault is no bounce: nobody must suppress a recipient for it.
  if (verdict.permanent)
    return { outcome: verdict.ours ? Outcome.OUTCOME_FAILED : Outcome.OUTCOME_BOUNCED, nextAt: undefined, gaveUp: false };
  const nextAt = nextAttemptAt(row, finishedAt, scheduleSeconds);
  if (nextAt === undefined) return { outcome: Outcome.OUTCOME_FAILED, nextAt: undefined, gaveUp: true };
  return { outcome: Outcome.OUTCOME_DEFERRED, nextAt, gaveUp: false };
}

function bounceOf(verdict: Verdict, earlier: readonly HostFailure[], gaveUp: boolean): Bounce {
  const before = earlier.map((failure) => `; before that ${failure.host}: ${wordsOf(failure.verdict)}`).join('');
  const end = gaveUp ? '; given up after the last retry' : '';
  const type = gaveUp && verdict.unknown ? BounceType.BOUNCE_TYPE_UNDETERMINED : verdict.type;
  return Bounce.fromPartial({ type, class: verdict.class, diagnostic: `${verdict.diagnostic}${before}${end}` });
}

function sessionOf({ answer, facts, earlier }: Attempted): SmtpSession | undefined {
  if (facts === undefined) return undefined;
  const session = SmtpSession.fromPartial({ ...facts });
  const reply = answer.kind === 'accepted' ? answer.reply : answer.trouble.kind === 'reply' ? answer.trouble.reply : undefined;
  if (answer.kind === 'accepted') session.command = commands.dot;
  else if ('stage' in answer.trouble) session.command = commands[answer.trouble.stage];
  if (reply !== undefined) {
    session.replyCode = reply.code;
    session.enhancedCode = reply.enhancedCode ?? '';
    session.reply = reply.verbatim;
  }
  // An event has room for one session. Hosts that failed before it are lines below the server's own words.
  for (const failure of earlier)
    session.reply += `${session.reply === '' ? '' : '\n'}[before that ${failure.host}: ${wordsOf(failure.verdict)}]`;
  return session;
}

const commands: Record<Stage, string> = {
  connect: '',
  greeting: '',
  ehlo: 'EHLO',
  starttls: 'STARTTLS',
  auth: 'AUTH',
  mail: 'MAIL FROM',
  rcpt: 'RCPT TO',
  data: 'DATA',
  body: 'DATA',
  dot: 'DATA',
};

function wordsOf(verdict: Verdict): string {
  return verdict.diagnostic.slice(verdict.diagnostic.indexOf(';') + 2);
}
