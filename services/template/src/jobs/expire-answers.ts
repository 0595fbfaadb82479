// Removes idempotency records when their day is over.

import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { repeat } from '@maildoot/runtime/repeat';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

const everyMs = 10 * 60_000;

export function startExpiringAnswers({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): AsyncDisposable {
  return repeat({
    everyMs,
    clock,
    run: () => store.expireAnswers(clock.now()),
    onFailure: (error) => telemetry.answersNotExpired(logger, error),
  });
}
