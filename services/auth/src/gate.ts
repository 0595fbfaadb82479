// Few at a time, few who wait, the others told to come back: what everybody may call, and what costs much, must not take the database's
// connections and the cores from the requests that show a key.
import { errors } from './errors.ts';

export interface GateOptions {
  atOnce: number;
  /** More than so many are somebody who guesses. */
  mostWaiting: number;
  /** Who has waited so long is told to come back, before the caller gives up. */
  longestWaitMs: number;
}

const comeBackMs = 5_000;

export class Gate {
  readonly #options: GateOptions;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** @throws RpcError RATE_LIMITED when too many wait already, or after too long a wait */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#options.atOnce) this.#inside++;
    // Whoever leaves hands over the place.
    else if (this.#waiting.length >= this.#options.mostWaiting || !(await this.#turn()))
      throw errors.RATE_LIMITED({ message: 'Too many at one time. Go on after Retry-After.', retryAfterMs: comeBackMs });
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside--;
      else next();
    }
  }

  /** False when it doesn't come in time. */
  async #turn(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const come = (): void => resolve(true);
    this.#waiting.push(come);
    const timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(come), 1);
      resolve(false);
    }, this.#options.longestWaitMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}
