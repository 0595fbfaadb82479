/** Which of the two logs a service reads: Kafka where brokers are named, else PostgreSQL. */
import type { Logger } from '@maildoot/runtime/logger';
import { createKafkaLog } from './kafka-log.ts';
import type { EventLog } from './log.ts';
import { createPostgresLog } from './postgres-log.ts';

export interface EventLogOptions {
  /** The database: of the outboxes and the positions, or with Kafka of the parked records alone. */
  url: string;
  /** Setting KAFKA_BROKERS. */
  kafkaBrokers: readonly string[] | undefined;
  logger: Logger;
  /** The name of the service. */
  clientId: string;
}

export function createEventLog({ url, kafkaBrokers, logger, clientId }: EventLogOptions): EventLog {
  if (kafkaBrokers === undefined) return createPostgresLog({ url, logger });
  return createKafkaLog({ brokers: kafkaBrokers, url, logger, clientId });
}
