// Looks at domains when their time has come. All processes share the work: each takes what nobody else has, for a while; what a process
// that died had taken is free again when its lease ends. Of one tenant only a few are looked at at a time, and the last places are for those
// of whom none is, so that a thousand domains whose name servers hang leave room for everybody else's.

import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { type Repeating, repeat } from '@maildoot/runtime/repeat';
import { telemetry, tellOfLook } from '../telemetry.ts';
import { type Verifier, verifyDomain } from '../verify-domain.ts';

const everyMs = 15_000;
/** At a time: a look takes up to lookBudgetMs, mostly waiting for others. */
const together = 8;
const mostOfTenant = 3;
/** Of the places, those for tenants of whom nothing is being looked at: a few tenants whose name servers hang don't have all. */
const keptForOthers = 2;
const lookBudgetMs = 10_000;
/** Longer than the look and writing it down, so that nobody looks at the same one beside us. */
const leaseMs = 60_000;
/** After a look that could not be written down. */
const postponedMs = 60_000;

export function startCheckingDomains(verifier: Verifier, { clock, logger }: { clock: Clock; logger: Logger }): Repeating {
  async function check({ tenantId, name }: { tenantId: string; name: string }, stopping: AbortSignal): Promise<void> {
    try {
      const result = await verifyDomain(verifier, tenantId, name, lookBudgetMs, stopping);
      // Deleted in the meantime: there is nothing left to look at.
      if (result.outcome === 'done') tellOfLook(logger, result);
    } catch (error) {
      if (stopping.aborted) return;
      telemetry.checkFailed(logger, name, error);
      await verifier.store.postponeCheck(tenantId, name, new Date(clock.now().getTime() + postponedMs));
    }
  }

  return repeat({
    everyMs,
    clock,
    async run(stopping) {
      const looks = new Set<Promise<void>>();
      const failures: unknown[] = [];
      const begin = (due: { tenantId: string; name: string }): void => {
        const look = check(due, stopping)
          .catch((error: unknown) => void failures.push(error))
          .finally(() => looks.delete(look));
        looks.add(look);
      };
      try {
        for (;;) {
          while (looks.size < together && failures.length === 0 && !stopping.aborted) {
            const most = looks.size < together - keptForOthers ? mostOfTenant : 1;
            const due = await verifier.store.leaseDue(clock.now(), most, leaseMs);
            if (due === undefined) break;
            begin(due);
          }
          if (looks.size === 0) break;
          // Each that ends may make room for another of its tenant.
          await Promise.race(looks);
        }
      } finally {
        await Promise.all(looks);
      }
      if (failures.length > 0) throw failures[0];
    },
    onFailure: (error) => telemetry.checksStopped(logger, error),
  });
}
