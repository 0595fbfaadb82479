// The pause between two attempts to get through to the database.
import { setTimeout as delay } from 'node:timers/promises';

const FIRST_MS = 25;
const LONGEST_MS = 1_000;

/** From 25 ms to 1 s; returns at once when stopped. `failures` counts from 0. */
export async function backOff(failures: number, signal: AbortSignal): Promise<void> {
  await delay(Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(() => {});
}
