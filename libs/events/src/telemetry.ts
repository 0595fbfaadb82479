/** Every counter, span and log line of the event library. */

import type { Logger } from '@maildoot/runtime/logger';
import { counter, histogram, tracer } from '@maildoot/runtime/telemetry';
import { type Context, context, type Span, SpanKind } from '@opentelemetry/api';
import type { Fault } from './faults.ts';
import type { Parking, RawRecord } from './process-batch.ts';
import type { Topic } from './topics.ts';

const service = 'events';

const sequenced = counter(service, 'maildoot_events_sequenced_total', { description: 'Outbox rows that got their position' });
const handledRecords = counter(service, 'maildoot_events_handled_total', { description: 'Records that a handler has taken' });
const failures = counter(service, 'maildoot_events_failures_total', {
  description: 'Calls of a handler that threw, by whose fault. Alarm when it goes on: the partition waits',
});
const parkedRecords = counter(service, 'maildoot_events_parked_total', { description: 'Records kept aside. Alarm: somebody has to look' });
const replayedRecords = counter(service, 'maildoot_events_replayed_total', { description: 'Parked records that were handled after all' });
const repeatedRecords = counter(service, 'maildoot_events_repeated_total', {
  description: 'Records that came once more after a publisher had lost its answer, and were left out',
});
const published = counter(service, 'maildoot_events_published_total', { description: 'Outbox rows that Kafka has acknowledged' });
const refused = counter(service, 'maildoot_events_refused_total', {
  description: 'Outbox rows that Kafka refused for good. Alarm: somebody has to look',
});
const publishFailures = counter(service, 'maildoot_events_publish_failures_total', {
  description: 'Batches that Kafka did not acknowledge. Alarm when it goes on: consumers get nothing new',
});
const interruptions = counter(service, 'maildoot_events_interruptions_total', {
  description: 'Times a sequencer or consumer lost its database',
});
const delays = histogram(service, 'maildoot_events_delay_seconds', {
  description: 'From append to handled, of the oldest record of a batch',
  unit: 's',
  advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600] },
});

/** Started and ended at append: the moment the event was told is the producer's only part in its way. */
export function publishSpan<E>(topic: Topic<E>, id: string, parent: Context = context.active()): Span {
  const attributes = { 'messaging.destination.name': topic.name, 'messaging.message.id': id };
  return tracer(service).startSpan(`publish ${topic.name}`, { kind: SpanKind.PRODUCER, attributes }, parent);
}

export function processSpan<E>(topic: Topic<E>, group: string, record: RawRecord, parent: Context): Span {
  const attributes = {
    'messaging.destination.name': topic.name,
    'messaging.destination.partition.id': String(record.partition),
    'messaging.consumer.group.name': group,
    'messaging.message.id': record.id,
  };
  return tracer(service).startSpan(`process ${topic.name}`, { kind: SpanKind.CONSUMER, attributes }, parent);
}

export interface Failure {
  error: unknown;
  fault: Fault;
  /** In a row, this one included. */
  failures: number;
  records: number;
  first: RawRecord;
}

export interface ConsumerTelemetry {
  handled(records: RawRecord[]): void;
  failed(failure: Failure): void;
  parked(parking: Parking): void;
  replayed(record: RawRecord): void;
  interrupted(error: unknown): void;
  partitions(owned: readonly number[]): void;
  /** The same events once more, left out. */
  repeated(records: number): void;
  outOfRange(partition: number, position: bigint, oldest: bigint): void;
}

export function consumerTelemetry(logger: Logger, topic: string, group: string): ConsumerTelemetry {
  const labels = { topic, group };
  const log = logger.child({ topic, group });
  return {
    handled(records) {
      handledRecords.add(records.length, labels);
      const oldest = records[0];
      if (oldest !== undefined) delays.record(Math.max(0, Date.now() - oldest.publishedAt.getTime()) / 1000, labels);
    },
    failed({ error, fault, failures: inARow, records, first }) {
      failures.add(1, { ...labels, fault });
      const fields = {
        err: error,
        fault,
        failures: inARow,
        records,
        partition: first.partition,
        position: first.position,
        event: first.id,
      };
      // The first of a row, and every tenth, which is once a minute or two: an outage isn't a line per pause.
      if (inARow === 1) log.warn(fields, 'events: a handler failed, trying again');
      else if (inARow % 10 === 0) log.error(fields, 'events: a partition is held up by its handler, trying again');
    },
    parked({ record, reason, error, attempts }) {
      parkedRecords.add(1, { ...labels, reason });
      const { partition, position, id } = record;
      log.error({ err: error, reason, attempts, partition, position, event: id }, 'events: a record was parked');
    },
    replayed({ partition, position, id }) {
      replayedRecords.add(1, labels);
      log.info({ partition, position, event: id }, 'events: a parked record was handled');
    },
    interrupted(error) {
      interruptions.add(1, labels);
      log.warn({ err: error }, 'events: a consumer lost the log, connecting again');
    },
    partitions(owned) {
      log.info({ partitions: owned.length }, 'events: partitions were shared out');
    },
    repeated(records) {
      repeatedRecords.add(records, labels);
    },
    outOfRange(partition, position, oldest) {
      const fields = { partition, position, oldest };
      log.error(fields, 'events: Kafka no longer has the records of this position, going on with the oldest that it has');
    },
  };
}

export interface PublisherTelemetry {
  published(topic: string, rows: number): void;
  refused(row: { topic: string; shard: number; position: bigint; id: string }, error: unknown): void;
  /** In a row, this one included. */
  failed(error: unknown, failures: number): void;
  recovered(failures: number): void;
  interrupted(error: unknown): void;
}

export function publisherTelemetry(logger: Logger, schema: string): PublisherTelemetry {
  const log = logger.child({ outbox: schema });
  return {
    published: (topic, rows) => published.add(rows, { topic }),
    refused({ topic, shard, position, id }, error) {
      refused.add(1, { topic });
      log.error({ err: error, topic, shard, position, event: id }, 'outbox: Kafka refused a row for good, it was kept aside');
    },
    failed(error, failures) {
      publishFailures.add(1, { outbox: schema });
      // The pauses between them grow to a second: the first, and then about one a minute.
      if (failures === 1) log.warn({ err: error }, 'outbox: Kafka takes no events, trying again; what is told waits in the outbox');
      else if (failures % 60 === 0) log.error({ err: error, failures }, 'outbox: Kafka still takes no events');
    },
    recovered: (failures) => log.info({ failures }, 'outbox: Kafka takes events again'),
    interrupted(error) {
      interruptions.add(1, { outbox: schema });
      log.warn({ err: error }, 'outbox: the publisher lost the database, connecting again');
    },
  };
}

export interface SequencerTelemetry {
  sequenced(topic: string, rows: number): void;
  interrupted(error: unknown): void;
  leases(held: number): void;
  keptBack(partition: string): void;
  maintenanceFailed(error: unknown): void;
}

export function sequencerTelemetry(logger: Logger, schema: string): SequencerTelemetry {
  const log = logger.child({ outbox: schema });
  return {
    sequenced: (topic, rows) => sequenced.add(rows, { topic }),
    interrupted(error) {
      interruptions.add(1, { outbox: schema });
      log.warn({ err: error }, 'outbox: the sequencer lost the database, connecting again');
    },
    leases: (held) => log.info({ shards: held }, 'outbox: leases'),
    keptBack: (partition) =>
      log.error(
        { partition },
        'outbox: rows past their retention are kept: not sequenced, not published, or not read by a group of consumers',
      ),
    maintenanceFailed: (error) => log.error({ err: error }, 'outbox: partitions could not be maintained'),
  };
}
