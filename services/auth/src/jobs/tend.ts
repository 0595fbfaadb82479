// What passes by itself: sessions and links that are over, tokens that were replaced long ago, failures that are forgiven, ledgers of windows that
// are long gone, signing keys that have served their time.
import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { repeat } from '@maildoot/runtime/repeat';
import type { Guesses } from '../store/guesses.ts';
import type { People } from '../store/people.ts';
import type { PersonalAccessTokens } from '../store/personal-access-tokens.ts';
import type { QuotaStore } from '../store/quotas.ts';
import { telemetry } from '../telemetry.ts';
import type { TokenKeys } from '../token-keys.ts';

const everyMs = 10 * 60_000;
const ledgersKeptMs = 2 * 24 * 60 * 60_000;
/** Until then the owner's audit log says that one which is over was tried. */
const revokedTokensKeptMs = 90 * 24 * 60 * 60_000;

export interface TendParts {
  people: People;
  tokens: PersonalAccessTokens;
  guesses: Guesses;
  quotas: QuotaStore;
  tokenKeys: TokenKeys;
  clock: Clock;
  logger: Logger;
}

export function startTending({ people, tokens, guesses, quotas, tokenKeys, clock, logger }: TendParts): AsyncDisposable {
  return repeat({
    everyMs,
    clock,
    async run() {
      const now = clock.now();
      await tokenKeys.tend();
      await people.forget(now);
      await tokens.forget(new Date(now.getTime() - revokedTokensKeptMs));
      await guesses.forget(now);
      await quotas.forget(new Date(now.getTime() - ledgersKeptMs));
    },
    onFailure: (error) => telemetry.notTended(logger, error),
  });
}
