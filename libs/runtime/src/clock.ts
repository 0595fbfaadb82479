/**
 * Time as a parameter. Everything that decides by calendar time (due, retry, expiry) takes a Clock, so that tests can move it;
 * leases use PostgreSQL's now() instead, because they are about several machines.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  now(): Date;
  /** Waits; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// setTimeout takes at most 2^31-1 ms and fires at once above that.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      try {
        await delay(Math.min(left, LONGEST_TIMER_MS), undefined, signal ? { signal } : {});
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      }
    }
  },
};
