// Keeps the tables' daily partitions: made seven days ahead, dropped whole when their retention is over and nobody waits for a message of
// that day any more. Content goes before the rest.
import type { Database } from '@maildoot/db/database';
import { keepPartitions, type PartitionedTable, type RetainedTable } from '@maildoot/db/partitions';
import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import { createOpenDays } from '../store/open-days.ts';
import type { Telemetry } from '../telemetry.ts';

const feedRetentionDays = 30;

export interface PartitionParts {
  database: Database;
  clock: Clock;
  logger: Logger;
  telemetry: Telemetry;
  messageRetentionDays: number;
  contentRetentionDays: number;
}

/** Resolves when today's partitions exist; rejects when they can't be made, for nothing could be accepted then. */
export async function startPartitions(parts: PartitionParts): Promise<AsyncDisposable> {
  const { database, clock, logger, telemetry } = parts;
  const openDays = createOpenDays();
  const keep: Pick<PartitionedTable & RetainedTable, 'by' | 'retentionDays' | 'mayDrop'> = {
    by: 'uuidv7',
    retentionDays: parts.messageRetentionDays,
    // A message may be scheduled for later than its retention, and is tried for days after that.
    async mayDrop(client, partition) {
      const open = await openDays.hasOpenRecipient(client, partition);
      if (open) telemetry.partitionKept(partition);
      return !open;
    },
  };
  return await keepPartitions({
    pool: database.pool,
    clock,
    logger,
    onFailure: (error) => telemetry.jobFailed('partitions', error),
    tables: [
      // Room on each page, so that a change of status stays on it and touches no index.
      { ...keep, table: 'message', storage: { fillfactor: 85 } },
      { ...keep, table: 'recipient', storage: { fillfactor: 80 } },
      { ...keep, table: 'message_event' },
      { table: 'feed', by: 'timestamp', retentionDays: feedRetentionDays },
      // What the feed doesn't lead to any more, and what was tried to tell of it. An id may be a day older than its place in the feed.
      { table: 'tenant_event', by: 'uuidv7', retentionDays: feedRetentionDays + 1 },
      { table: 'callback_attempt', by: 'uuidv7', retentionDays: feedRetentionDays + 1 },
      // Nobody asks for the content of a message that is not there any more.
      { ...keep, table: 'content', retentionDays: Math.min(parts.contentRetentionDays, parts.messageRetentionDays) },
    ],
  });
}
