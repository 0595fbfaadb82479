// Job: asks auth who is suspended, and keeps the answer where claims look. Asked for, and not told by events: who suspends is auth, so
// whenever there is something new auth can be asked, while events wait behind a log that is down, and behind what a delivery missed while
// it was. It also ends what has waited for a suspended tenant for too long.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { repeat } from '@maildoot/runtime/repeat';
import { giveUpSuspended, replaceSuspended } from '../store/suspended-tenant.ts';
import type { Telemetry } from '../telemetry.ts';

export interface FollowingParts {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  /** Auth's answer of this moment: `ten_…`. */
  suspended(): Promise<readonly string[]>;
  /** Somebody's mail goes on. */
  released(): void;
  /** What this process has claimed of them and not handed over is given back. */
  withdraw(tenantIds: ReadonlySet<string>): void;
  /** Runs the work while no claim is under way. */
  betweenClaims(work: () => Promise<void>): Promise<void>;
  /** What would have ended by its attempts by now. */
  longestWaitMs: number;
  /** Recipients were ended; there are events to tell. */
  ended(): void;
}

// The API refuses a suspended tenant within five seconds; what it accepted before stops as soon.
const askEveryMs = 2_000;
const endEveryMs = 60_000;
const rowsAtOnce = 200;

export async function startFollowingSuspensions(parts: FollowingParts): Promise<AsyncDisposable> {
  let asks = true;
  let known: ReadonlySet<string> = new Set();
  const ask = async (): Promise<void> => {
    try {
      const tenantIds = (await parts.suspended()).map((id) => idToUuid('ten', id)).filter((id) => id !== undefined);
      const fresh = new Set(tenantIds.filter((id) => !known.has(id)));
      parts.withdraw(fresh);
      if (await replaceSuspended(parts.database, tenantIds)) parts.released();
      // A claim that was under way may have looked before.
      if (fresh.size > 0) await parts.betweenClaims(async () => parts.withdraw(fresh));
      known = new Set(tenantIds);
      asks = true;
    } catch (error) {
      // What was said last holds. One line for each time that auth goes away.
      if (asks) parts.telemetry.failed('follow-suspensions', error);
      asks = false;
    }
  };
  // Before the first claim: nothing goes out of those who were suspended while no delivery ran.
  await ask();
  await using following = new AsyncDisposableStack();
  following.use(repeat({ everyMs: askEveryMs, run: ask, onFailure: (error) => parts.telemetry.failed('follow-suspensions', error) }));
  following.use(
    repeat({
      everyMs: endEveryMs,
      async run(stopping) {
        const now = parts.clock.now();
        const dueBefore = new Date(now.getTime() - parts.longestWaitMs);
        for (let changed = rowsAtOnce; changed > 0 && !stopping.aborted; ) {
          changed = await giveUpSuspended(parts.database, dueBefore, now, rowsAtOnce);
          if (changed > 0) parts.ended();
        }
      },
      onFailure: (error) => parts.telemetry.failed('end-suspended', error),
    }),
  );
  return following.move();
}
