// Attempts to deliver a message as the API shows them, in timelines and in events.
import {
  type AttemptRecordedEvent,
  type Bounce,
  BounceClass,
  BounceType,
  Outcome,
  type SmtpSession,
} from '@maildoot/proto/maildoot/delivery/v1/events';
import { describeAttempt } from './attempt-summary.ts';
import { enumWords } from './enum-words.ts';
import { timeJson } from './time-json.ts';

export const outcomes = enumWords(Outcome, 'OUTCOME_');
export const bounceTypes = enumWords(BounceType, 'BOUNCE_TYPE_');
export const bounceClasses = enumWords(BounceClass, 'BOUNCE_CLASS_');

export interface BounceJson {
  type: string;
  class: string;
  diagnostic: string;
}

export interface SessionJson {
  host: string | null;
  remote_address: string | null;
  local_address: string | null;
  tls_version: string | null;
  tls_policy: string | null;
  command: string | null;
  reply_code: number | null;
  enhanced_code: string | null;
  reply: string | null;
}

export interface AttemptJson {
  number: number;
  outcome: string;
  summary: string;
  started_at: string | null;
  finished_at: string | null;
  duration_ms: number | null;
  next_attempt_at: string | null;
  possible_duplicate: boolean;
  session: SessionJson | null;
  bounce: BounceJson | null;
}

export function attemptJson(attempt: AttemptRecordedEvent): AttemptJson {
  const { startedAt, finishedAt } = attempt;
  return {
    number: attempt.attempt,
    outcome: outcomes.wordOf(attempt.outcome),
    summary: describeAttempt(attempt),
    started_at: timeJson(startedAt),
    finished_at: timeJson(finishedAt),
    duration_ms: startedAt && finishedAt ? Math.max(0, finishedAt.getTime() - startedAt.getTime()) : null,
    next_attempt_at: timeJson(attempt.nextAttemptAt),
    possible_duplicate: attempt.possibleDuplicate,
    session: sessionJson(attempt.session),
    bounce: bounceJson(attempt.bounce),
  };
}

export function bounceJson(bounce: Bounce | undefined): BounceJson | null {
  if (bounce === undefined) return null;
  return { type: bounceTypes.wordOf(bounce.type), class: bounceClasses.wordOf(bounce.class), diagnostic: bounce.diagnostic };
}

function sessionJson(session: SmtpSession | undefined): SessionJson | null {
  if (session === undefined) return null;
  return {
    host: session.host || null,
    remote_address: session.remoteAddress || null,
    local_address: session.localAddress || null,
    tls_version: session.tlsVersion || null,
    tls_policy: session.tlsPolicy || null,
    command: session.command || null,
    reply_code: session.replyCode || null,
    enhanced_code: session.enhancedCode || null,
    reply: session.reply || null,
  };
}
