// A job that runs now and then until the service stops. A failure is reported and the job runs again; two runs never overlap.
import { setTimeout as delay } from 'node:timers/promises';

export interface RepeatOptions {
  everyMs: number;
  run(): Promise<void>;
  onFailure(error: unknown): void;
}

export function repeat(options: RepeatOptions): AsyncDisposable {
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        await options.run();
      } catch (error) {
        options.onFailure(error);
      }
      await delay(options.everyMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
