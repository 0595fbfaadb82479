// Removes idempotency records when their day is over.

import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 10 * 60_000;

export function startExpiringAnswers({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): AsyncDisposable {
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      await store.expireAnswers(clock.now()).catch((error: unknown) => telemetry.answersNotExpired(logger, error));
      await clock.sleep(everyMs, stop.signal).catch(() => undefined);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
