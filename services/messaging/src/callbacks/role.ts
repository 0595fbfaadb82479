// The role `callbacks`: tells tenants' endpoints of their events. Any number of processes share the work.
//   dispatch   the feed → due rows                (dispatch.ts)
//   tell       due rows → attempts → what came of (teller.ts)
//   keep       five days of failure, what disabled callbacks leave behind, notices (keep.ts)
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import type { Sealer } from '@maildoot/runtime/seal';
import type { Telemetry } from '../telemetry.ts';
import { dispatch } from './dispatch.ts';
import type { Outside } from './endpoint.ts';
import { startKeeping } from './keep.ts';
import type { SendNotices } from './notices.ts';
import { startTeller } from './teller.ts';

const pollMs = 200;

export interface CallbackRoleParts extends Outside {
  database: Database;
  sealer: Sealer;
  clock: Clock;
  telemetry: Telemetry;
  concurrency: number;
  sendNotices: SendNotices;
  /** A transaction has told the feed something. */
  wakeFeed(): void;
}

export interface CallbackRole extends AsyncDisposable {
  /** Feeds have grown. */
  wake(): void;
}

export async function startCallbackRole(parts: CallbackRoleParts): Promise<CallbackRole> {
  const { database, clock, telemetry, wakeFeed } = parts;
  await using starting = new AsyncDisposableStack();
  const failed = (error: unknown) => telemetry.jobFailed('callback-dispatch', error);
  const teller = starting.use(await startTeller({ ...parts, onDisabled: wakeFeed }));
  const dispatching = starting.use(
    repeat({
      everyMs: pollMs,
      async run(stopping) {
        while (!stopping.aborted) {
          const { due, moved } = await dispatch(database, clock, failed);
          if (due > 0) teller.wake();
          if (!moved) return;
        }
      },
      onFailure: failed,
    }),
  );
  starting.use(startKeeping({ ...parts, wakeFeed }));
  const running = starting.move();
  return { wake: () => dispatching.wake(), [Symbol.asyncDispose]: () => running.disposeAsync() };
}
