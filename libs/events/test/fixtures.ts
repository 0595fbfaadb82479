// What the tests of this library share: events with a number in them, and a producer's database with its outbox.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { captureLogs } from '@maildoot/testkit/logs';
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

export async function parkedOf(database: Database, group: string): Promise<{ id: string; reason: string; error: string }[]> {
  const { rows } = await database.pool.query<{ id: string; reason: string; error: string }>(
    `SELECT event_id AS id, reason, error FROM event_log.parked WHERE group_name = $1 ORDER BY partition, parked.position`,
    [group],
  );
  return rows;
}
