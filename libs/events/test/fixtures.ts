// What the tests of this library share: events with a number in them, and a producer's database with its outbox.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { captureLogs } from '@maildoot/testkit/logs';
import { waitFor } from '@maildoot/testkit/wait';
import { openKafka } from '../src/kafka-client.ts';
import { outboxMigrations } from '../src/migrations.ts';
import { appendOutbox } from '../src/outbox.ts';
import { messageAccepted } from '../src/topics.ts';

export const silent: Logger = createLogger({ service: 'test', level: 'silent' });

export function capturing(): { logger: Logger; logs: ReturnType<typeof captureLogs> } {
  const logs = captureLogs();
  return { logger: createLogger({ service: 'test', destination: logs.destination }), logs };
}

/** The number travels in `size_bytes`. */
export function event(key: string, number: number): MessageAcceptedEvent {
  return MessageAcceptedEvent.fromPartial({ messageId: key, tenantId: 'ten_test', sizeBytes: BigInt(number) });
}

export function numberOf(record: { event: MessageAcceptedEvent }): number {
  return Number(record.event.sizeBytes);
}

export async function openProducer(url: string, maxConnections = 8): Promise<Database> {
  await migrate({ url, schema: 'messaging', migrations: [outboxMigrations] });
  return openDatabase({ url, schema: 'messaging', maxConnections, applicationName: 'producer' });
}

/** One transaction with these events. */
export function tell(database: Database, ...events: MessageAcceptedEvent[]): Promise<void> {
  return database.transaction((client) =>
    appendOutbox(
      client,
      events.map((one) => ({ topic: messageAccepted, event: one })),
    ),
  );
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** hanging-consumer.ts in a process of its own. */
export async function spawnHangingConsumer(group: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./hanging-consumer.ts', import.meta.url)), group], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    lines: () => text.split('\n'),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The log makes the table when it is opened, beside everything else. */
export async function parkedOf(database: Database, group: string): Promise<{ id: string; reason: string; error: string }[]> {
  const { rows } = await waitFor(
    () =>
      database.pool.query<{ id: string; reason: string; error: string }>(
        'SELECT event_id AS id, reason, error FROM event_log.parked WHERE group_name = $1 ORDER BY partition, parked.position',
        [group],
      ),
    { what: 'the table of parked records' },
  );
  return rows;
}

/** So that tests on one broker don't see each other's topics and groups. */
export function newTopicPrefix(): string {
  return `t${randomBytes(4).toString('hex')}.`;
}

export interface StoredRecord {
  partition: number;
  key: string;
  id: string;
  /** In the outbox. */
  position: number;
  headers: Record<string, string>;
  timestampMs: number;
}

/** What a topic in Kafka holds, repeated records and all, in the order of each partition. */
export async function storedRecords(brokers: string, topic: string): Promise<StoredRecord[]> {
  const client = openKafka({ brokers: [brokers], clientId: 'reader', logger: silent });
  try {
    const cluster = client.openCluster();
    await cluster.connect();
    await cluster.addMultipleTargetTopics([topic]);
    const records: StoredRecord[] = [];
    for (const { partitionId: partition, leader } of cluster.findTopicPartitionMetadata(topic)) {
      const [ends] = await cluster.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning: false }]);
      const end = BigInt(ends!.partitions[0]!.offset);
      const broker = await cluster.findBroker({ nodeId: leader });
      for (let next = 0n; next < end; ) {
        const partitions = [{ partition, fetchOffset: String(next), maxBytes: 1_000_000 }];
        const request = {
          maxWaitTime: 100,
          minBytes: 1,
          maxBytes: 4_000_000,
          isolationLevel: 1,
          rackId: '',
          topics: [{ topic, partitions }],
        };
        for (const message of (await broker.fetch(request)).responses[0]!.partitions[0]!.messages) {
          if (BigInt(message.offset) < next) continue;
          next = BigInt(message.offset) + 1n;
          const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
          const key = String(message.key);
          const timestampMs = Number(message.timestamp);
          records.push({ partition, key, id: headers.id ?? '', position: Number(headers.position), headers, timestampMs });
        }
      }
    }
    return records;
  } finally {
    client.destroy();
  }
}
