/**
 * Reads one topic of Maildoot and prints a line per event, until SIGTERM or SIGINT. It uses nothing of Maildoot but the code generated from
 * proto/: a team of its own, in a process of its own, with a group of its own.
 *
 *   KAFKA_BROKERS=127.0.0.1:9092 TOPIC=delivery.attempt-recorded.v1 GROUP=analytics node docs/examples/consume-events.ts
 */
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import kafkajs, { type IHeaders } from 'kafkajs';

/** What to make of a record. No addresses: what is printed is kept by somebody. */
const readers: Record<string, (value: Uint8Array) => string> = {
  'messaging.message-accepted.v1'(value) {
    const event = MessageAcceptedEvent.decode(value);
    return `${event.messageId} accepted for ${event.recipients.length} recipients`;
  },
  'delivery.attempt-recorded.v1'(value) {
    const event = AttemptRecordedEvent.decode(value);
    return `${event.messageId} recipient ${event.recipientNumber} attempt ${event.attempt} ${outcomeName(event.outcome)}`;
  },
};

/** A value that was added after this was built is no error. */
function outcomeName(outcome: Outcome): string {
  return Object.entries(Outcome).find(([, value]) => value === outcome)?.[0] ?? `outcome ${outcome}`;
}

const { KAFKA_BROKERS = '', TOPIC = 'messaging.message-accepted.v1', GROUP = 'example' } = process.env;
const read = readers[TOPIC];
if (KAFKA_BROKERS === '' || read === undefined) {
  console.error(`KAFKA_BROKERS is host:port,host:port; TOPIC is one of ${Object.keys(readers).join(', ')}`);
  process.exit(2);
}

/**
 * At least once: a record may come again, with the same id. These are the last ids of each partition, in memory, so a record that comes again
 * after a restart is printed again. Who writes to a database keeps the ids there, in the transaction of what it does for the event.
 */
const done = new Map<number, Set<string>>();
const REMEMBERED = 10_000;

function remember(partition: number, id: string): void {
  const ids = done.get(partition) ?? new Set();
  done.set(partition, ids.add(id));
  // A set is in the order of insertion.
  const [oldest = id] = ids;
  if (ids.size > REMEMBERED) ids.delete(oldest);
}

function header(headers: IHeaders | undefined, name: string): string {
  return String(headers?.[name] ?? '');
}

const kafka = new kafkajs.Kafka({ clientId: GROUP, brokers: KAFKA_BROKERS.split(','), logLevel: kafkajs.logLevel.ERROR });
// Maildoot makes its topics. A consumer that makes one would give it another number of partitions, and nothing could be told any more.
const consumer = kafka.consumer({ groupId: GROUP, allowAutoTopicCreation: false });

// kafkajs tries again what may work later. When it gives up, so does this process, and whoever started it starts it again.
consumer.on(consumer.events.CRASH, ({ payload }) => {
  if (!payload.restart) process.exit(1);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  // Ends the event at hand, commits, and leaves the group, so that others get its partitions at once.
  process.once(signal, () => void consumer.disconnect().then(() => process.exit(0)));
}

await consumer.connect();
await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
await consumer.run({
  // Throw, and the record comes again; return, and it is done with.
  async eachMessage({ topic, partition, message }) {
    const id = header(message.headers, 'id');
    if (id !== '' && done.get(partition)?.has(id)) return;
    // `00-<trace>-<span>-<flags>`. With OpenTelemetry: propagation.extract(ROOT_CONTEXT, { traceparent }) is the parent of your span.
    const trace = header(message.headers, 'traceparent').split('-')[1] ?? '-';
    const told = header(message.headers, 'published-at');
    try {
      console.log(`${told} ${id} trace=${trace} ${read(message.value ?? Buffer.alloc(0))}`);
    } catch (error) {
      // Will never be readable: waiting for it would hold up all that is behind it.
      console.error(`unreadable: ${topic} partition ${partition} offset ${message.offset}: ${String(error)}`);
    }
    remember(partition, id);
  },
});
