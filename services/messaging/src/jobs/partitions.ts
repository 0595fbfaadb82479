// Keeps the tables' daily partitions: made seven days ahead, dropped whole when their retention is over. Content goes before the rest.
import type { Database } from '@maildoot/db/database';
import { keepPartitions } from '@maildoot/db/partitions';
import type { Clock } from '@maildoot/runtime/clock';
import type { Logger } from '@maildoot/runtime/logger';
import type { Telemetry } from '../telemetry.ts';

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
  const keep = { by: 'uuidv7', retentionDays: parts.messageRetentionDays } as const;
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
      // Nobody asks for the content of a message that is not there any more.
      { ...keep, table: 'content', retentionDays: Math.min(parts.contentRetentionDays, parts.messageRetentionDays) },
    ],
  });
}
