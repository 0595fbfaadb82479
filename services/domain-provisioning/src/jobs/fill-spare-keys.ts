// Keeps spare DKIM keys ready: at start, whenever some were taken, and now and then for what another pod took.

import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import type { SpareKeys } from '../spare-keys.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 60_000;

export interface Filling extends AsyncDisposable {
  /** Some were taken. */
  wake(): void;
}

export function startFillingSpareKeys({ spareKeys, clock, logger }: { spareKeys: SpareKeys; clock: Clock; logger: Logger }): Filling {
  const stop = new AbortController();
  let pause = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      // Made before the work: who takes a key while it runs is not overlooked.
      pause = new AbortController();
      await spareKeys.fill(stop.signal).catch((error: unknown) => telemetry.sparesNotMade(logger, error));
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
