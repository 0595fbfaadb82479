// Taking due rows: when, how many, and whose. One door for first attempts, scheduled mail and retries. What is fair is decided here, in
// numbers; store/due.ts does it in one transaction.
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '@maildoot/runtime/clock';
import type { DueRow, ReadyPair, Share } from './store/due.ts';

/** Rows per claim at most: more of them in one transaction would hold their locks for longer than a cancellation should wait. */
export const rowsPerClaim = 100;

// Credit that a tenant can't use now may be used later, but not hoarded: it would be a burst at everybody else's expense.
const maxCredit = 2 * rowsPerClaim;

/**
 * Deficit round robin (Shreedhar and Varghese, 1995) over the pairs of destination and tenant that are ready, in the order given: each
 * gets the same quantum on top of the credit it has, and takes as much as the claim and its destination have room for. Credit that the
 * claim had no room for is kept for the next one.
 */
export function share(pairs: readonly ReadyPair[], budget: number, room: (destination: string) => number): Share[] {
  const quantum = Math.max(1, Math.ceil(budget / Math.max(1, pairs.length)));
  const rooms = new Map<string, number>();
  let left = budget;
  return pairs.map((pair) => {
    const roomLeft = rooms.get(pair.destination) ?? room(pair.destination);
    const credit = Math.min(maxCredit, pair.deficit + quantum);
    const take = Math.max(0, Math.min(credit, left, roomLeft));
    left -= take;
    rooms.set(pair.destination, roomLeft - take);
    return { ...pair, take, credit };
  });
}

export interface ClaimLoopParts {
  clock: Clock;
  /** Takes rows; empty when nothing is due or nothing may be started. */
  claim(): Promise<DueRow[]>;
  /** When the next row is due that there is room for. */
  earliest(): Promise<Date | undefined>;
  handOut(rows: DueRow[]): void;
  onFailure(error: unknown): void;
}

const pollMs = 500;
// Something is due and could not be claimed: another pod, the consumer or an outcome has its pair locked for a moment.
const contendedMs = 20;
const failureMs = 1_000;
// Between the starts of two claims that don't take all they may, so that one takes what several sessions made room for.
const paceMs = 10;

/** Claims whenever there may be something: woken by the consumer, by lanes with room, by the next due time; looks twice a second in any case. */
export class ClaimLoop {
  readonly #parts: ClaimLoopParts;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #woken = false;
  #running: Promise<void> | undefined;
  // A claim and what must not see its rows half-known take turns.
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: ClaimLoopParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running = this.#loop();
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Runs the work while no claim is under way and every claimed row has been handed out. */
  async between(work: () => Promise<void>): Promise<void> {
    const before = this.#turn;
    const mine = before.then(work);
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#woken = false;
      const pauseMs = await this.#once();
      if (pauseMs > 0) await this.#pause(pauseMs);
    }
  }

  /** One claim. Answers how long to wait before the next one. */
  async #once(): Promise<number> {
    try {
      let claimed = 0;
      const startedAtMs = performance.now();
      await this.between(async () => {
        const rows = await this.#parts.claim();
        claimed = rows.length;
        if (claimed > 0) this.#parts.handOut(rows);
      });
      if (claimed >= rowsPerClaim) return 0;
      if (claimed > 0) {
        const restMs = startedAtMs + paceMs - performance.now();
        if (restMs > 0) await delay(restMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        return 0;
      }
      const earliest = await this.#parts.earliest();
      if (earliest === undefined) return pollMs;
      const inMs = earliest.getTime() - this.#parts.clock.now().getTime();
      return Math.min(pollMs, Math.max(contendedMs, inMs));
    } catch (error) {
      this.#parts.onFailure(error);
      return failureMs;
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#woken || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
