/** A job that runs now and then until its service stops. A failure is reported and the job runs again; two runs never overlap. */
import { type Clock, systemClock } from './clock.ts';

export interface RepeatOptions {
  /** From the end of one run to the start of the next. */
  readonly everyMs: number;
  /** The first time at once. The signal is aborted when the service stops; disposing waits for the run that is under way. */
  run(stopping: AbortSignal): Promise<unknown>;
  onFailure(error: unknown): void;
  /** Default: real time. */
  readonly clock?: Clock;
}

export interface Repeating extends AsyncDisposable {
  /** Runs once more as soon as no run is under way. What was asked for while one was is not lost. */
  wake(): void;
}

export function repeat({ everyMs, run, onFailure, clock = systemClock }: RepeatOptions): Repeating {
  const stop = new AbortController();
  let pause = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      // Made before the run: a wish that comes while it is under way ends the pause that follows it.
      pause = new AbortController();
      try {
        await run(stop.signal);
      } catch (error) {
        onFailure(error);
      }
      // Rejects when it is woken or stopped, and only then.
      await clock.sleep(everyMs, AbortSignal.any([stop.signal, pause.signal])).catch(() => undefined);
    }
  })();
  return {
    wake: () => pause.abort(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
