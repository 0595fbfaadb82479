// Waiting for a condition instead of sleeping for a time.
import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Default 10,000. */
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
  { timeoutMs = 10_000, what, intervalMs = 10 }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  do {
    try {
      const found = await condition();
      if (found !== undefined && found !== null && found !== false) return found as Exclude<T, undefined | null | false>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await delay(intervalMs);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause });
}
