// A clock that stands still until a test moves it. Implements the Clock of libs/runtime.
import type { Clock } from '@maildoot/runtime/clock';

interface Sleeper {
  dueMs: number;
  wake(): void;
}

export class TestClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(start: Date = new Date()) {
    this.#nowMs = start.getTime();
  }

  now(): Date {
    return new Date(this.#nowMs);
  }

  /** How many wait for this clock. A test that advances waits for it first: who sleeps later sleeps from the later time. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  /** Milliseconds until the next of them is due; undefined when nobody sleeps. */
  get nextDueInMs(): number | undefined {
    const first = this.#first();
    return first === undefined ? undefined : first.dueMs - this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const finish = (settle: () => void) => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', abort);
        settle();
      };
      const abort = () => finish(() => reject(signal?.reason));
      const sleeper: Sleeper = { dueMs: this.#nowMs + Math.max(0, ms), wake: () => finish(resolve) };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort);
      if (ms <= 0) sleeper.wake();
    });
  }

  /**
   * Moves the time on, stopping at each sleeper that comes due on the way, so that who sleeps again inside the span is woken again.
   * Between two stops everything that needs no I/O gets its turn.
   */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    for (let first = this.#first(); first !== undefined && first.dueMs <= targetMs; first = this.#first()) {
      this.#nowMs = Math.max(this.#nowMs, first.dueMs);
      first.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#nowMs = targetMs;
  }

  #first(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) if (first === undefined || sleeper.dueMs < first.dueMs) first = sleeper;
    return first;
  }
}
