// Sends over a tenant's pace are accepted and sent later, each at its time; only a tenant with more waiting than its backlog may hold is refused.
// The pace is a rate of recipients with one minute's worth at once (GCRA): a tenant's row says until when it has used it up, a request moves
// that on, and what lies more than a minute ahead is due that much later. A request that nothing waits in front of is taken whole. Messages with a send_at of their own aren't counted.
import type { Database } from '@maildoot/db/database';
import type { Clock } from '@maildoot/runtime/clock';
import { type Draft, isScheduled, openOnes } from './draft.ts';
import { errors } from './errors.ts';
import { unusePace, usePace } from './store/pace.ts';

const atOnceMs = 60_000;

export interface PaceOptions {
  database: Database;
  clock: Clock;
  /** Recipients a minute; undefined: any number. */
  perMinute: number | undefined;
  /** Recipients that may wait for their turn. */
  backlog: number;
}

/** What a request has used of its tenant's pace. */
export interface Turn {
  giveBack(): Promise<void>;
}

export class Pace {
  readonly #options: PaceOptions;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /**
   * Says of each message when it is its turn. Give back what was not accepted in the end.
   * @throws RpcError RATE_LIMITED
   */
  async take(drafts: readonly Draft[], tenantId: string): Promise<Turn> {
    const { database, clock, perMinute, backlog } = this.#options;
    const paced = openOnes(drafts).filter((draft) => !isScheduled(draft));
    const recipients = paced.reduce((sum, draft) => sum + draft.recipients.length, 0);
    if (perMinute === undefined || recipients === 0) return { giveBack: async () => {} };
    const now = clock.now();
    const oneMs = 60_000 / perMinute;
    const microseconds = Math.round(recipients * oneMs * 1_000);
    const from = await usePace(database, tenantId, microseconds, now, { mayMs: atOnceMs + backlog * oneMs, atOnceMs });
    if (from === undefined) {
      throw errors.RATE_LIMITED({
        message: `There are ${perMinute} recipients a minute for this account, and as many are waiting as may wait: ${backlog}. Go on after Retry-After.`,
        retryAfterMs: Math.min(60_000, Math.max(1_000, Math.ceil(recipients * oneMs))),
      });
    }
    let atMs = from.getTime() - atOnceMs;
    for (const draft of paced) {
      if (atMs > now.getTime()) draft.pacedUntil = new Date(atMs);
      atMs += draft.recipients.length * oneMs;
    }
    return { giveBack: () => unusePace(database, tenantId, microseconds) };
  }
}
