// Job: frees the rows of pods that died, a second after they are known to be dead. Every pod does it; row locks keep two from doing it twice.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import { giveUpKnownDead, releaseExpired } from '../store/incarnation.ts';
import type { Telemetry } from '../telemetry.ts';

export function startReleasingExpired(parts: {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  incarnation(): string | undefined;
  /** Whether silence may be taken for death. */
  mayJudge(): boolean;
  released(): void;
}): AsyncDisposable {
  return repeat({
    everyMs: 1_000,
    async run() {
      await giveUpKnownDead(parts.database, parts.incarnation());
      for (;;) {
        const rows = await releaseExpired(parts.database, parts.clock.now(), parts.mayJudge());
        if (rows.length === 0) return;
        parts.telemetry.interrupted(rows);
        parts.released();
      }
    },
    onFailure: (error) => parts.telemetry.failed('release-expired', error),
  });
}
