// Claims what is due, as places are free, tells it, and records what came of it. Attempts run side by side, without waiting for each other;
// those that end are recorded together. A claim that no outcome was recorded for is another process' after ours is dead: the event is told
// again then, under the same id.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { beat, buryWorkers, type ClaimedDue, claimDue, giveBack, insertWorker, isDue, putOff } from '../store/callback-work.ts';
import type { Telemetry } from '../telemetry.ts';
import { attempt, type Judged } from './attempt.ts';
import type { Outside } from './endpoint.ts';
import { Places } from './places.ts';
import { record } from './record.ts';

const pollMs = 200;
const beatMs = 2_000;
const afterFailureMs = 500;
/** What is under way when the service stops has this long; then it is another process' to tell again. */
const stopWithinMs = 5_000;
const putOffMs = 60_000;

export interface TellerParts extends Outside {
  database: Database;
  sealer: Sealer;
  clock: Clock;
  telemetry: Telemetry;
  /** Attempts at one time. */
  concurrency: number;
  /** Called when something was written that makes news. */
  onDisabled(): void;
}

export interface Teller extends AsyncDisposable {
  /** Something is due. */
  wake(): void;
}

export async function startTeller(parts: TellerParts): Promise<Teller> {
  const { database, clock, telemetry } = parts;
  const places = new Places(parts.concurrency);
  const aborted = new AbortController();
  const underWay = new Set<Promise<void>>();
  let ended: { judged: Judged; as: string; settle: () => void }[] = [];
  let recording = false;
  let stopping = false;
  let woken = false;
  let wakeUp = () => {};
  let workerId = newUuid();
  await insertWorker(database.pool, workerId);

  async function pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    wakeUp = resolve;
    const timer = setTimeout(resolve, ms);
    if (stopping || woken) resolve();
    await promise;
    clearTimeout(timer);
  }

  function begin(due: ClaimedDue, as: string): void {
    places.take(due.lane);
    const told = (async () => {
      let answered = true;
      try {
        const judged = await attempt(due, { ...parts, signal: aborted.signal });
        answered = judged.answered;
        telemetry.callbackAttempted(judged.attempt.outcome, judged.attempt.durationMs);
        await recorded(judged, as);
      } catch (error) {
        // What was aborted because we stop is given back then.
        if (!aborted.signal.aborted) await puttingOff(due, as, error);
      } finally {
        places.release(due.lane, answered);
        wake();
      }
    })();
    underWay.add(told);
    void told.finally(() => underWay.delete(told));
  }

  /** A secret that can't be opened, or a mistake of ours: nothing that is the endpoint's fault. */
  async function puttingOff(due: ClaimedDue, as: string, cause: unknown): Promise<void> {
    telemetry.jobFailed('callback-attempt', cause);
    const until = new Date(clock.now().getTime() + putOffMs);
    await putOff(database.pool, as, due, until).catch((error: unknown) => telemetry.jobFailed('callback-attempt', error));
  }

  function recorded(judged: Judged, as: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    ended.push({ judged, as, settle: resolve });
    if (!recording) void recordAll();
    return promise;
  }

  async function recordAll(): Promise<void> {
    recording = true;
    while (ended.length > 0) {
      const { as } = ended[0]!;
      const batch = ended.filter((one) => one.as === as).slice(0, 200);
      try {
        const disabled = await record(
          database,
          as,
          batch.map((one) => one.judged),
          clock.now(),
        );
        ended = ended.filter((one) => !batch.includes(one));
        for (const { settle } of batch) settle();
        for (let count = 0; count < disabled; count++) telemetry.callbackDisabled('gone');
        if (disabled > 0) parts.onDisabled();
      } catch (error) {
        telemetry.jobFailed('callback-record', error);
        // Nobody can wait any longer: they are told again.
        if (aborted.signal.aborted) {
          for (const { settle } of ended) settle();
          ended = [];
        } else await new Promise((resolve) => setTimeout(resolve, afterFailureMs));
      }
    }
    recording = false;
  }

  async function run(): Promise<void> {
    while (!stopping) {
      woken = false;
      try {
        const most = Math.min(places.free, 100);
        const now = clock.now();
        if (most > 0 && (await isDue(database.pool, now))) {
          const me = workerId;
          const due = await claimDue(database.pool, { workerId: me, now, most, ofUnknown: places.ofUnknown, known: places.known() });
          for (const one of due) begin(one, me);
          if (due.length > 0) continue;
        }
        await pause(pollMs);
      } catch (error) {
        if (stopping) return;
        telemetry.jobFailed('callback-claim', error);
        await new Promise((resolve) => setTimeout(resolve, afterFailureMs));
      }
    }
  }

  async function stayAlive(): Promise<void> {
    try {
      if (!(await beat(database.pool, workerId))) {
        // Taken for dead: whoever did has freed what we had claimed. What we go on with is fenced by the old id.
        const fresh = newUuid();
        await insertWorker(database.pool, fresh);
        workerId = fresh;
        telemetry.callbackWorkerLost();
      }
      const freed = await database.transaction((client) => buryWorkers(client, clock.now()));
      if (freed > 0) {
        telemetry.callbacksFreed(freed);
        wake();
      }
    } catch (error) {
      if (!stopping) telemetry.jobFailed('callback-worker', error);
    }
  }

  function wake(): void {
    woken = true;
    wakeUp();
  }

  let beating: Promise<void> = stayAlive();
  const heart = setInterval(() => {
    beating = beating.then(stayAlive);
  }, beatMs);
  const running = run();
  return {
    wake,
    async [Symbol.asyncDispose]() {
      stopping = true;
      wake();
      await running;
      const tooLong = setTimeout(() => aborted.abort(new Error('the service stops')), stopWithinMs);
      await Promise.all(underWay);
      clearTimeout(tooLong);
      clearInterval(heart);
      await beating;
      await database
        .transaction((client) => giveBack(client, workerId))
        .catch((error: unknown) => telemetry.jobFailed('callback-give-back', error));
    },
  };
}
