// When a recipient is tried again. The schedule is a list of delays: the first after the first attempt, and so on; after the last one
// we give up. RFC 5321 section 4.5.4.1 asks for at least 30 minutes between attempts once the first ones failed and 4–5 days in all;
// the default is quicker at first (greylisting) and ends after about three days, when people have long noticed.
import { createHash } from 'node:crypto';

/** A delay is shortened by at most so much. Never lengthened: what was announced as the next attempt is the latest. */
export const maxJitter = 0.1;

/** Which attempt is asked about: its recipient and its number, from 1. */
export interface TriedAttempt {
  messageId: string;
  recipientNumber: number;
  attempt: number;
}

/**
 * When the attempt after this one is due; undefined when the schedule is used up. The jitter keeps a thousand recipients that were
 * deferred together from coming back together; it is a hash of the ids, so that the same attempt always gets the same answer.
 */
export function nextAttemptAt(tried: TriedAttempt, finishedAt: Date, scheduleSeconds: readonly number[]): Date | undefined {
  const delaySeconds = scheduleSeconds[tried.attempt - 1];
  if (delaySeconds === undefined) return undefined;
  const delayMs = delaySeconds * 1000 * (1 - maxJitter * fraction(`${tried.messageId}/${tried.recipientNumber}/${tried.attempt}`));
  return new Date(finishedAt.getTime() + Math.round(delayMs));
}

/** How long a recipient is tried in all, a day at least: what was kept back for longer than that has ended. */
export function longestWaitMs(scheduleSeconds: readonly number[]): number {
  return (
    Math.max(
      86_400,
      scheduleSeconds.reduce((sum, seconds) => sum + seconds, 0),
    ) * 1000
  );
}

/** 0 ≤ x < 1. */
function fraction(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
}
