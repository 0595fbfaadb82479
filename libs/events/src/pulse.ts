/** Something may have changed. Whoever looked before it came looks again; several may wait. */
export class Pulse {
  #beats = 0;
  readonly #waiting = new Set<() => void>();

  beat(): void {
    this.#beats++;
    for (const wake of this.#waiting) wake();
  }

  /** Take it before looking, and wait with it after having found nothing. */
  get now(): number {
    return this.#beats;
  }

  /** Until there was a beat since then, the time is over, or the signal aborts. */
  async since(then: number, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#beats !== then || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const timer = setTimeout(resolve, ms);
    const stop = (): void => resolve();
    signal.addEventListener('abort', stop);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    this.#waiting.delete(resolve);
  }
}
