// Gives events their places in their tenants' feeds, after the commit that told them. Every messaging process runs one, and whoever
// commits wakes its own; a lock in the database lets one work at a time. One that finds nothing to do asks again a moment later, for
// what a process committed that was killed before it could wake anybody.
//
// Lower bound: a backup keeps its snapshot for an hour, and what was moved meanwhile stays as dead entries in the index, so a pass starts
// behind them. A transaction takes its xid before its first serial. So if serials stood at S before we took xid X, all up to S belong to
// xids below X; once those have ended, a pass that took whatever it saw has taken all that will ever be seen up to S.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { positionAt } from '../feed.ts';
import { isPending, sequence } from '../store/feed.ts';
import type { Telemetry } from '../telemetry.ts';

const mostRows = 500;
/** Events of many transactions share a pass. */
const paceMs = 20;
const pollMs = 200;
const afterFailureMs = 500;

export interface FeedSequencerParts {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  /** Called when tenants' feeds have grown. */
  onGrown(tenantIds: readonly string[]): void;
}

export interface FeedSequencer extends AsyncDisposable {
  /** Call it after a commit that told events. */
  wake(): void;
  /** The serial up to which everything that was ever told has its place. */
  readonly bound: bigint;
}

export function startFeedSequencer({ database, clock, telemetry, onGrown }: FeedSequencerParts): FeedSequencer {
  let stopping = false;
  let woken = false;
  let wakeUp: () => void = () => {};
  let bound = 0n;
  let next: { serial: bigint; xid: bigint } | undefined;

  /** True: there is more than one pass takes. */
  async function pass(): Promise<boolean> {
    woken = false;
    if (!(await isPending(database.pool, bound))) return false;
    const done = await sequence(database, bound, positionAt(clock.now()), mostRows);
    const full = done.rows === mostRows;
    if (!full && next !== undefined && done.oldestRunningXid >= next.xid) {
      bound = next.serial;
      next = undefined;
    }
    next ??= { serial: done.serialBefore, xid: done.xid };
    if (done.rows > 0) {
      telemetry.feedGrown(done.events);
      onGrown(done.tenantIds);
    }
    return full;
  }

  /** Ends early when the service stops, and when somebody wakes us unless we keep our pace. */
  async function pause(ms: number, keepsPace = false): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    wakeUp = () => {
      if (stopping || !keepsPace) resolve();
    };
    const timer = setTimeout(resolve, ms);
    if (stopping || (woken && !keepsPace)) resolve();
    await promise;
    clearTimeout(timer);
    wakeUp = () => {};
  }

  async function run(): Promise<void> {
    while (!stopping) {
      try {
        if (await pass()) continue;
        await pause(paceMs, true);
        await pause(pollMs);
      } catch (error) {
        // Maybe another database by now.
        bound = 0n;
        next = undefined;
        if (stopping) return;
        telemetry.jobFailed('feed', error);
        await pause(afterFailureMs, true);
      }
    }
  }

  const running = run();
  return {
    get bound() {
      return bound;
    },
    wake() {
      woken = true;
      wakeUp();
    },
    async [Symbol.asyncDispose]() {
      stopping = true;
      wakeUp();
      await running;
    },
  };
}
