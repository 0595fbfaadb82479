// Waiting for a tenant's feed to grow. What the sequencer of this process did is known at once; what another process' did is asked for,
// with one question for all who wait.
import type pg from 'pg';
import { timeOfPosition } from './feed.ts';
import { tenantsWithNews } from './store/feed.ts';
import type { Telemetry } from './telemetry.ts';

const pollMs = 150;

export interface FeedNews extends AsyncDisposable {
  /** Resolves when there is, or may be, something behind `after`, when the time is over, when the signal is aborted, and when it is closed. */
  next(tenantId: string, after: bigint, waitMs: number, signal: AbortSignal): Promise<void>;
  announce(tenantIds: readonly string[]): void;
  /** Nobody waits any more. */
  readonly closed: boolean;
  /** Ends every wait: a stop must not last as long as the longest of them. */
  close(): void;
}

interface Waiter {
  tenantId: string;
  after: bigint;
  resolve(): void;
}

export function startFeedNews({ pool, telemetry }: { pool: pg.Pool; telemetry: Telemetry }): FeedNews {
  const waiting = new Set<Waiter>();
  let closed = false;
  let asking: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function ask(): Promise<void> {
    const asked = [...waiting];
    try {
      let oldest = asked[0]!.after;
      for (const { after } of asked) if (after < oldest) oldest = after;
      const found = await tenantsWithNews(pool, asked, timeOfPosition(oldest));
      for (const waiter of asked) if (found.has(waiter.tenantId)) waiter.resolve();
    } catch (error) {
      // Those who wait ask for themselves in the end, and are told then.
      telemetry.jobFailed('feed-news', error);
    }
  }

  function schedule(): void {
    if (closed || timer !== undefined || waiting.size === 0) return;
    timer = setTimeout(async () => {
      if (waiting.size > 0) {
        asking = ask();
        await asking;
      }
      timer = undefined;
      schedule();
    }, pollMs);
  }

  function endAll(which: (waiter: Waiter) => boolean): void {
    for (const waiter of [...waiting]) if (which(waiter)) waiter.resolve();
  }

  return {
    get closed() {
      return closed;
    },
    async next(tenantId, after, waitMs, signal) {
      if (closed || signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiter: Waiter = { tenantId, after, resolve };
      waiting.add(waiter);
      schedule();
      const timeout = setTimeout(resolve, waitMs);
      signal.addEventListener('abort', waiter.resolve, { once: true });
      try {
        await promise;
      } finally {
        waiting.delete(waiter);
        clearTimeout(timeout);
        signal.removeEventListener('abort', waiter.resolve);
      }
    },
    announce(tenantIds) {
      const grown = new Set(tenantIds);
      endAll((waiter) => grown.has(waiter.tenantId));
    },
    close() {
      closed = true;
      clearTimeout(timer);
      endAll(() => true);
    },
    async [Symbol.asyncDispose]() {
      this.close();
      await asking;
    },
  };
}
