// Job: finds the mail hosts of domains that have something due and no route yet, and moves their rows to the destination found. A domain whose
// hosts can't be found gets a destination of its own, where its rows are attempted all the same: the attempt is what says why.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { unresolvedPrefix } from '../route.ts';
import type { Routes } from '../routes.ts';
import { moveDestination, unresolvedDestinations } from '../store/due.ts';
import type { Telemetry } from '../telemetry.ts';

export interface ResolveParts {
  database: Database;
  clock: Clock;
  routes: Routes;
  telemetry: Telemetry;
  moved(): void;
}

const domainsAtOnce = 20;
// A thousand names of slow servers in one tenant's list leave others some of the places.
const domainsPerTenant = 15;
const rowsPerMove = 1_000;
const pollMs = 500;

export interface Resolving extends AsyncDisposable {
  wake(): void;
}

export function startResolvingRoutes(parts: ResolveParts): Resolving {
  const stop = new AbortController();
  // A domain whose name servers are slow must not hold up the others, so each is a task of its own.
  const working = new Map<string, { tenantId: string; done: Promise<void> }>();
  let wake: (() => void) | undefined;
  let woken = false;

  async function look(): Promise<void> {
    const except = [...working.keys()];
    const found = await unresolvedDestinations(parts.database, parts.clock.now(), { perTenant: domainsPerTenant, except });
    for (const { destination, tenantId } of found) {
      if (working.size >= domainsAtOnce) return;
      if (working.has(destination)) continue;
      if ([...working.values()].filter((one) => one.tenantId === tenantId).length >= domainsPerTenant) continue;
      const done = resolve(destination)
        .catch((error: unknown) => parts.telemetry.failed('resolve-routes', error))
        .finally(() => {
          working.delete(destination);
          // There may be more than had a place.
          wakeUp();
        });
      working.set(destination, { tenantId, done });
    }
  }

  async function resolve(unresolved: string): Promise<void> {
    const route = await parts.routes.find(unresolved.slice(unresolvedPrefix.length));
    for (;;) {
      const moved = await moveDestination(parts.database, unresolved, route.destination, rowsPerMove);
      if (moved > 0) parts.moved();
      if (moved < rowsPerMove || stop.signal.aborted) return;
    }
  }

  function wakeUp(): void {
    woken = true;
    wake?.();
  }

  const running = (async () => {
    while (!stop.signal.aborted) {
      woken = false;
      await look().catch((error: unknown) => parts.telemetry.failed('resolve-routes', error));
      if (woken || stop.signal.aborted) continue;
      await new Promise<void>((done) => {
        const timer = setTimeout(done, pollMs);
        wake = () => {
          clearTimeout(timer);
          done();
        };
      });
      wake = undefined;
    }
    await Promise.allSettled([...working.values()].map(({ done }) => done));
  })();
  return {
    wake: wakeUp,
    async [Symbol.asyncDispose]() {
      stop.abort();
      wakeUp();
      await running;
    },
  };
}
