// Few at a time, few who wait, the others told to come back: what everybody may call, and what costs much, must not take the database's
// connections and the cores from the requests that show a key.
import { errors } from './errors.ts';

export interface GateOptions {
  atOnce: number;
  /** More than so many are somebody who guesses. */
  mostWaiting: number;
}

const comeBackMs = 5_000;

export class Gate {
  readonly #options: GateOptions;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** @throws RpcError RATE_LIMITED when too many wait already */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#options.atOnce) this.#inside++;
    else {
      if (this.#waiting.length >= this.#options.mostWaiting)
        throw errors.RATE_LIMITED({ message: 'Too many at one time. Go on after Retry-After.', retryAfterMs: comeBackMs });
      // Whoever leaves hands over the place.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside--;
      else next();
    }
  }
}
