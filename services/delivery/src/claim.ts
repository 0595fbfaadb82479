// Taking due rows: when, how many, and whose. One door for first attempts, scheduled mail and retries. What is fair is decided here, in
// numbers; store/due.ts does it in one transaction.
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '@maildoot/runtime/clock';
import { Pace } from '@maildoot/runtime/pace';
import type { DueRow, ReadyPair, Share } from './store/due.ts';

/** Rows per claim at most: more of them in one transaction would hold their locks for longer than a cancellation should wait. */
export const rowsPerClaim = 100;

/** Who has how much, for sharing out what a claim may take. */
export interface Holdings {
  /** Rows that this process holds for a tenant: claimed and not yet recorded. */
  of(tenantId: string): number;
  /** Of those, the ones that go to a destination. */
  at(destination: string, tenantId: string): number;
  /** Rows that it may hold beside all that it holds. */
  free: number;
}

// A tenant holds at most so many times what is left free. Alone it gets four fifths of everything, and however many are greedy, some room is
// always left for one who comes (Choudhury and Hahne, 1998: dynamic thresholds).
const greed = 4;

/**
 * Divides a claim among the pairs of destination and tenant that are ready, one row after the other. At each destination the tenant is next
 * that has the fewest rows on their way there; among the destinations, the tenant that has the fewest in all; then who was served longest
 * ago. So a tenant's share depends on how many tenants there are, and not on how many rows or destinations each of them has, and who comes
 * with little waits for nobody's queue.
 */
export function share(
  pairs: readonly ReadyPair[],
  budget: number,
  room: (destination: string) => number,
  holdings: Holdings,
  turns: Pick<Turns, 'last'>,
): Share[] {
  const counted = pairs.map((pair) => ({
    ...pair,
    take: 0,
    there: holdings.at(pair.destination, pair.tenantId),
    turn: turns.last(pair.tenantId),
  }));
  const atDestination = Map.groupBy(counted, ({ destination }) => destination);
  const rooms = new Map([...atDestination.keys()].map((destination) => [destination, room(destination)]));
  const held = new Map(counted.map(({ tenantId }) => [tenantId, holdings.of(tenantId)]));
  const heldBy = ({ tenantId }: ReadyPair): number => held.get(tenantId) ?? 0;
  for (let left = budget, free = holdings.free; left > 0 && free > 0; left--, free--) {
    let next: (typeof counted)[number] | undefined;
    for (const [destination, those] of atDestination) {
      if ((rooms.get(destination) ?? 0) <= 0) continue;
      let first: (typeof counted)[number] | undefined;
      for (const one of those) {
        if (heldBy(one) >= greed * free) continue;
        if (first === undefined || order([one.there, heldBy(one), one.turn], [first.there, heldBy(first), first.turn]) < 0) first = one;
      }
      if (first === undefined) continue;
      if (next === undefined || order([heldBy(first), first.turn, first.there], [heldBy(next), next.turn, next.there]) < 0) next = first;
    }
    if (next === undefined) break;
    next.take++;
    next.there++;
    held.set(next.tenantId, heldBy(next) + 1);
    rooms.set(next.destination, (rooms.get(next.destination) ?? 0) - 1);
  }
  return counted.map(({ destination, tenantId, take }) => ({ destination, tenantId, take }));
}

function order(one: readonly number[], other: readonly number[]): number {
  for (const [index, value] of one.entries()) {
    const difference = value - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const maxTurnsRemembered = 10_000;

/** When each tenant was served last, in claims. Who was forgotten counts as never served, which harms nobody. */
export class Turns {
  readonly #last = new Map<string, number>();
  #claims = 0;

  last(tenantId: string): number {
    return this.#last.get(tenantId) ?? 0;
  }

  served(rows: readonly { tenantId: string }[]): void {
    this.#claims++;
    if (this.#last.size > maxTurnsRemembered) this.#last.clear();
    for (const { tenantId } of rows) this.#last.set(tenantId, this.#claims);
  }
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

/** Claims whenever there may be something: woken by the consumer, by lanes with room, by the next due time; looks twice a second in any case. */
export class ClaimLoop {
  readonly #parts: ClaimLoopParts;
  readonly #stop = new AbortController();
  /** Of claims that don't take all they may: one takes what several sessions made room for. */
  readonly #pace = new Pace();
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
      this.#pace.begin();
      await this.between(async () => {
        const rows = await this.#parts.claim();
        claimed = rows.length;
        if (claimed > 0) this.#parts.handOut(rows);
      });
      if (claimed >= rowsPerClaim) return 0;
      if (claimed > 0) {
        const restMs = this.#pace.restMs();
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
