/**
 * Keeps the starts of something that is repeated apart, so that one takes what several made ready: fewer and larger steps cost less than
 * many small ones. The first after a rest begins at once.
 */

/** Nobody notices it, and it is worth a multiple of the work. */
export const PACE_MS = 10;
/** As far apart as steps get that always find something to do: at 500 messages a second this costs half the transactions of 10 ms. */
export const LONGEST_PACE_MS = 40;
// From 250 a second on the steps move apart.
const msPerItem = 4;

export class Pace {
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #everyMs = PACE_MS;

  /** One begins now. */
  begin(): void {
    this.#begunAtMs = performance.now();
  }

  /** The next need not wait: the last one didn't take all there was. */
  forget(): void {
    this.#begunAtMs = Number.NEGATIVE_INFINITY;
  }

  /** So many things were ready for the last one: the more, the longer the next may wait for more of them. */
  took(count: number): void {
    this.#everyMs = Math.min(LONGEST_PACE_MS, Math.max(PACE_MS, count * msPerItem));
  }

  /** How far apart they are by now. */
  get everyMs(): number {
    return this.#everyMs;
  }

  /** How long until the next may begin; 0 or less: now. */
  restMs(everyMs: number = this.#everyMs): number {
    return this.#begunAtMs + everyMs - performance.now();
  }
}
