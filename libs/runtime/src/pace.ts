/**
 * Keeps the starts of something that is repeated apart, so that one takes what several made ready: fewer and larger steps cost less than
 * many small ones. The first after a rest begins at once.
 */

/** Nobody notices it, and it is worth a multiple of the work. */
export const PACE_MS = 10;

export class Pace {
  #begunAtMs = Number.NEGATIVE_INFINITY;

  /** One begins now. */
  begin(): void {
    this.#begunAtMs = performance.now();
  }

  /** The next need not wait: the last one didn't take all there was. */
  forget(): void {
    this.#begunAtMs = Number.NEGATIVE_INFINITY;
  }

  /** How long until the next may begin; 0 or less: now. */
  restMs(everyMs: number = PACE_MS): number {
    return this.#begunAtMs + everyMs - performance.now();
  }
}
