// Now and then: disables what has failed for five days, deletes what disabled and deleted callbacks left behind, moves positions of quiet
// tenants on, and sends the notices that wait.
import type { Database } from '@maildoot/db/database';
import { CallbackDisabledReason } from '@maildoot/proto/maildoot/messaging/v1/callback';
import type { Clock } from '@maildoot/runtime/clock';
import { repeat } from '@maildoot/runtime/repeat';
import { deleteNotice, failingSince, listNotices, moveIdle, sweepLanes } from '../store/callback-work.ts';
import { settledPlace } from '../store/callbacks.ts';
import type { Telemetry } from '../telemetry.ts';
import { disable } from './disable.ts';
import type { SendNotices } from './notices.ts';
import { givenUpAfterMs } from './retry-plan.ts';

const everyMs = 15_000;
const idleEveryMs = 30 * 60_000;

export interface KeepingParts {
  database: Database;
  clock: Clock;
  telemetry: Telemetry;
  sendNotices: SendNotices;
  wakeFeed(): void;
}

export function startKeeping(parts: KeepingParts): AsyncDisposable {
  const { database, clock, telemetry } = parts;
  const attend = (job: string, everyJobMs: number, run: () => Promise<void>) =>
    repeat({ everyMs: everyJobMs, clock, run, onFailure: (error) => telemetry.jobFailed(job, error) });
  const stack = new AsyncDisposableStack();
  stack.use(attend('callback-failing', everyMs, () => disableFailing(parts)));
  stack.use(attend('callback-lanes', everyMs, () => sweep(database)));
  stack.use(attend('callback-notices', everyMs, () => notify(parts)));
  stack.use(
    attend('callback-idle', idleEveryMs, () => database.transaction(async (client) => await moveIdle(client, await settledPlace(client)))),
  );
  return stack;
}

/** Whether something is tried at the moment or not: an endpoint that answered nothing for five days of events is asked no more. */
async function disableFailing({ database, clock, telemetry, wakeFeed }: KeepingParts): Promise<void> {
  const now = clock.now();
  for (const { id, tenantId } of await failingSince(database.pool, new Date(now.getTime() - givenUpAfterMs))) {
    const reason = CallbackDisabledReason.CALLBACK_DISABLED_REASON_FAILING;
    if (!(await database.transaction((client) => disable(client, { id, tenantId }, reason, now)))) continue;
    telemetry.callbackDisabled('failing');
    wakeFeed();
  }
}

async function sweep(database: Database): Promise<void> {
  while (await database.transaction((client) => sweepLanes(client)));
}

/** A notice is kept until it was taken; the same one again is the same one there. */
async function notify({ database, sendNotices, telemetry }: KeepingParts): Promise<void> {
  for (const notice of await listNotices(database.pool)) {
    try {
      await sendNotices(notice);
      await deleteNotice(database.pool, notice.id);
    } catch (error) {
      telemetry.noticeWaits(error);
    }
  }
}
