// What passes by itself: sessions and links that are over, failures that are forgiven, ledgers of windows that are long gone, signing keys that
// have served their time.
import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { repeat } from '@maildoot/runtime/repeat';
import type { Guesses } from '../store/guesses.ts';
import type { People } from '../store/people.ts';
import type { QuotaStore } from '../store/quotas.ts';
import { telemetry } from '../telemetry.ts';
import type { TokenKeys } from '../token-keys.ts';

const everyMs = 10 * 60_000;
const ledgersKeptMs = 2 * 24 * 60 * 60_000;

export interface TendParts {
  people: People;
  guesses: Guesses;
  quotas: QuotaStore;
  tokenKeys: TokenKeys;
  clock: Clock;
  logger: Logger;
}

export function startTending({ people, guesses, quotas, tokenKeys, clock, logger }: TendParts): AsyncDisposable {
  return repeat({
    everyMs,
    clock,
    async run() {
      const now = clock.now();
      await tokenKeys.tend();
      await people.forget(now);
      await guesses.forget(now);
      await quotas.forget(new Date(now.getTime() - ledgersKeptMs));
    },
    onFailure: (error) => telemetry.notTended(logger, error),
  });
}
