// When an event is told again that a callback did not take.

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** What lies between one attempt and the next: ten attempts in a little over three days. */
export const pausesMs: readonly number[] = [
  5 * secondMs,
  5 * minuteMs,
  30 * minuteMs,
  2 * hourMs,
  5 * hourMs,
  10 * hourMs,
  14 * hourMs,
  20 * hourMs,
  24 * hourMs,
];

/** A pause is longer by up to this part of it, never shorter: who went down with a thousand events is not asked for all in one moment. */
const jitter = 0.1;

/** The longest that a receiver can have us wait. */
export const longestRetryAfterMs = 24 * hourMs;

/** All attempts of so long have failed: the callback is disabled. */
export const givenUpAfterMs = 5 * 24 * hourMs;

/**
 * When the next attempt is due after the one of this number (from 1) has failed; undefined after the last one. The receiver's Retry-After
 * can put it off, not bring it forward. `random`: 0 to 1.
 */
export function nextAttemptAt(number: number, endedAt: Date, retryAfterMs: number | undefined, random: number): Date | undefined {
  const pauseMs = pausesMs[number - 1];
  if (pauseMs === undefined) return undefined;
  const planned = pauseMs * (1 + jitter * random);
  return new Date(endedAt.getTime() + Math.round(Math.max(planned, Math.min(retryAfterMs ?? 0, longestRetryAfterMs))));
}

/** RFC 9110 section 10.2.3: seconds, or a date. Undefined for what is neither. */
export function retryAfterMs(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * secondMs;
  // Only the form that names a day of the week: Date.parse takes much else for a date.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}
