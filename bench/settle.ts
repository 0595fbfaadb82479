/** Waiting until a platform has done what it was given, so that one measurement is not paid for in the next. */
import { waitFor } from '@maildoot/testkit/wait';
import type { Platform } from './platform.ts';

/** Every outbox row has its position. Answers how many had none at first, and how long it took. */
export async function sequenced(platform: Platform): Promise<{ behind: number; seconds: number }> {
  const startedAtMs = performance.now();
  let behind: number | undefined;
  // A role that never started has no tables.
  const { rows: outboxes } = await platform.database.query<{ schema: string }>(
    `SELECT schemaname AS schema FROM pg_tables WHERE tablename = 'outbox' AND schemaname <> 'bare'`,
  );
  const counts = outboxes.map(({ schema }) => `(SELECT count(*) FROM ${schema}.outbox WHERE position IS NULL)`);
  await waitFor(
    async () => {
      const { rows } = await platform.database.query<{ count: string }>(`SELECT ${counts.join(' + ')} AS count`);
      const count = Number(rows[0]?.count);
      behind ??= count;
      return count === 0;
    },
    { timeoutMs: 300_000, intervalMs: 100, what: 'the sequencers to catch up' },
  );
  return { behind: behind ?? 0, seconds: (performance.now() - startedAtMs) / 1000 };
}

/** Nothing is in the queue or on its way to it, and messaging knows how everything ended. */
export async function delivered(platform: Platform, timeoutMs = 600_000): Promise<void> {
  await waitFor(
    async () => {
      const { rows } = await platform.database.query<{ open: string }>(
        `SELECT (SELECT count(*) FROM delivery.due) + (SELECT count(*) FROM messaging.recipient WHERE status IN (1, 2)) AS open`,
      );
      return Number(rows[0]?.open) === 0;
    },
    { timeoutMs, intervalMs: 500, what: 'everything to be delivered' },
  );
}

/** What the last measurement left to be written is written now. */
export async function checkpoint(platform: Platform): Promise<void> {
  await platform.database.query('CHECKPOINT');
}
