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
const rowsPerMove = 1_000;
const pollMs = 500;

export interface Resolving extends AsyncDisposable {
  wake(): void;
}

export function startResolvingRoutes(parts: ResolveParts): Resolving {
  const stop = new AbortController();
  // A domain whose name servers are slow must not hold up the others, so each is a task of its own.
  const working = new Map<string, Promise<void>>();
  let wake: (() => void) | undefined;
  let woken = false;

  async function look(): Promise<void> {
    const found = await unresolvedDestinations(parts.database, parts.clock.now(), domainsAtOnce * 5);
    for (const destination of found) {
      if (working.size >= domainsAtOnce) return;
      if (working.has(destination)) continue;
      const work = resolve(destination)
        .catch((error: unknown) => parts.telemetry.failed('resolve-routes', error))
        .finally(() => {
          working.delete(destination);
          if (found.length > domainsAtOnce) wakeUp();
        });
      working.set(destination, work);
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
    await Promise.allSettled(working.values());
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
