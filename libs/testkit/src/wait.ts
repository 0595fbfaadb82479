// Waiting for a condition instead of sleeping for a time.
import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Default 60,000: only a failure takes that long, and a busy machine may stand still for seconds. */
  timeoutMs?: number;
  /** What is waited for, in words: it is what the failure says. */
  what: string;
  /** Pause between two looks; default 10. */
  intervalMs?: number;
}

/**
 * Looks until the condition gives something other than undefined, null or false, and returns that. A condition that throws is looked at
 * again; the last error is the cause of the failure at the end.
 */
export async function waitFor<T>(
  condition: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { timeoutMs = 60_000, what, intervalMs = 10 }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    // Looked at once more when the time is over: what is waited for may have come while this process stood still.
    const isLast = performance.now() >= deadline;
    try {
      const found = await condition();
      if (found !== undefined && found !== null && found !== false) return found as Exclude<T, undefined | null | false>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (isLast) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause });
    await delay(intervalMs);
  }
}

/** Resolves at once but in the last minute of a UTC day, for tests that name the day in which something happens. */
export async function clearOfMidnight(): Promise<void> {
  const minuteMs = 60_000;
  await waitFor(() => Date.now() % (24 * 60 * minuteMs) < (24 * 60 - 1) * minuteMs, {
    what: 'the next day',
    timeoutMs: 2 * minuteMs,
    intervalMs: 100,
  });
}
