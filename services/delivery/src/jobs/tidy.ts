// Job: forgets what serves nobody any more. Daily partitions are dropped by libs/db; this is the rest, all of it small.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import { dropOldestMails } from '../store/captured-mail.ts';
import { forgetOldBackOffs } from '../store/destination.ts';
import { forgetIdlePairs } from '../store/due.ts';
import { forgetOldRoutes } from '../store/route.ts';
import { forgetOldSuppressed } from '../store/suppressed.ts';
import type { Telemetry } from '../telemetry.ts';

export function startTidying(parts: {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  capturedMailLimit: number;
}): AsyncDisposable {
  return repeat({
    everyMs: 60_000,
    async run() {
      await forgetIdlePairs(parts.database);
      await forgetOldBackOffs(parts.database, parts.clock.now());
      await forgetOldRoutes(parts.database, parts.clock.now());
      await forgetOldSuppressed(parts.database);
      while ((await dropOldestMails(parts.database, parts.capturedMailLimit)) === 1_000);
    },
    onFailure: (error) => parts.telemetry.failed('tidy', error),
  });
}
