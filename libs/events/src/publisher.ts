/**
 * Publishes the sequenced rows of an outbox to Kafka, beside the sequencer that holds their shards, and never in its way: while Kafka is
 * down rows are accepted and sequenced as ever, and wait.
 *
 * One batch at a time:
 *   1. read the rows behind the last published position of each partition that may have some, up to a number of rows and bytes
 *   2. is the lease ours still? By our own clock, right before the batch leaves
 *   3. send, every replica in sync acknowledges; what isn't acknowledged is sent again from step 1
 *   4. remember the positions, in memory at once, in the table a little later
 *
 * The order of a key, seen by whoever leaves out repeated ids: each batch holds, per partition, rows that follow on something acknowledged
 * without a gap, and Kafka appends a partition's share of a batch as one. So a batch that comes late (of a holder that was stopped and lost
 * its lease, or one that was believed lost and sent again) repeats records, but never brings a later one before an earlier one.
 * The idempotent producer isn't used: kafkajs' breaks with its own retries (598), and it would not know of another holder's records.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import type { Logger } from '@maildoot/runtime/logger';
import type { Producer, RecordMetadata } from 'kafkajs';
import pg from 'pg';
import { backOff } from './back-off.ts';
import { errorType, type KafkaClient, openKafka } from './kafka-client.ts';
import { messageOf, type OutboxRow } from './kafka-record.ts';
import { ensureTopics, kafkaTopic } from './kafka-topics.ts';
import type { News } from './news.ts';
import { openSession } from './outbox-session.ts';
import { wordsOf } from './parked-store.ts';
import { Pulse } from './pulse.ts';
import { type PublisherTelemetry, publisherTelemetry } from './telemetry.ts';
import { schemaOf, type TopicFacts, topics } from './topics.ts';

export interface PublisherOptions {
  database: Pick<Database, 'pool' | 'schema'>;
  brokers: readonly string[];
  topicPrefix: string;
  logger: Logger;
  /** What the sequencer holds at the moment. */
  lease(): Lease;
}

export interface Lease {
  readonly shards: readonly number[];
  /** By `performance.now()`. */
  readonly untilMs: number;
  /** Another number whenever a shard may have been with somebody else in between. */
  readonly term: number;
}

/** The records of one topic and shard. */
interface Lane {
  readonly topic: TopicFacts;
  readonly shard: number;
  /** The last position that Kafka has acknowledged. */
  published: bigint;
  saved: bigint;
  /** There may be more rows. */
  hungry: boolean;
}

const ROWS_PER_LANE = 200;
const BATCH_BYTES = 4_000_000;
// Of one partition in one batch: Kafka's limit for a record counts for all that are sent to a partition together.
const LANE_BYTES = 900_000;
const POLL_MS = 500;
const SAVE_EVERY_MS = 200;
const ACK_TIMEOUT_MS = 8_000;
const STOP_MS = 2_000;

export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #telemetry: PublisherTelemetry;
  readonly #topics: readonly TopicFacts[];
  readonly #outbox: string;
  readonly #stopping = new AbortController();
  readonly #news = new Pulse();
  #lanes = new Map<string, Lane>();
  #term = -1;
  #pollAtMs = 0;
  #saveAtMs = 0;
  #kafka: { client: KafkaClient; producer: Producer } | undefined;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { database, logger } = options;
    this.#telemetry = publisherTelemetry(logger, database.schema);
    this.#topics = topics.filter((topic) => schemaOf(topic) === database.schema);
    this.#outbox = pg.escapeIdentifier(database.schema);
  }

  start(): void {
    this.#running = this.#run();
  }

  /** These partitions have been sequenced up to there; or the lease has changed. */
  wake(news: News): void {
    for (const [topic, heads] of Object.entries(news)) {
      for (const [shard, head] of Object.entries(heads)) {
        const lane = this.#lanes.get(`${topic} ${shard}`);
        if (lane !== undefined && BigInt(head) > lane.published) lane.hungry = true;
      }
    }
    this.#news.beat();
  }

  /** The batch under way is acknowledged or given up; then the shards may be given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    const late = delay(STOP_MS, undefined, { ref: false }).then(() => this.#disconnect());
    await Promise.race([this.#running, late]);
    this.#disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await using session = await openSession(this.#options.database);
        await this.#work(session.client, () => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) break;
        this.#telemetry.interrupted(error);
        await backOff(failures++, signal);
      }
    }
    this.#disconnect();
  }

  async #work(client: pg.Client, worked: () => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const then = this.#news.now;
      await this.#takeLanes(client);
      worked();
      try {
        const more = await this.#publish(client);
        if (performance.now() >= this.#saveAtMs) await this.#save(client);
        if (!more) await this.#news.since(then, this.#untilNextLook(), signal);
      } catch (error) {
        if (error instanceof LeaseLost) this.#term = -1;
        else if (error instanceof KafkaTrouble) this.#trouble(error);
        else throw error;
        await backOff(this.#failures, signal);
      }
    }
    // Without it the next holder publishes the last records once more.
    await this.#save(client);
  }

  #trouble({ cause }: KafkaTrouble): void {
    this.#disconnect();
    if (!this.#stopping.signal.aborted) this.#telemetry.failed(cause, ++this.#failures);
  }

  #untilNextLook(): number {
    const unsaved = [...this.#lanes.values()].some(({ published, saved }) => published > saved);
    return Math.max(1, Math.min(this.#pollAtMs, unsaved ? this.#saveAtMs : Number.POSITIVE_INFINITY) - performance.now());
  }

  /** The shards that we hold now; how far they are is read whenever they may have been with another holder. */
  async #takeLanes(client: pg.Client): Promise<void> {
    const { shards, term } = this.#options.lease();
    if (term === this.#term) return;
    await this.#save(client);
    const { rows } = await client.query<{ topic: string; shard: number; position: string }>(
      `SELECT topic, shard, position::text FROM ${this.#outbox}.outbox_published`,
    );
    const published = new Map(rows.map(({ topic, shard, position }) => [`${topic} ${shard}`, BigInt(position)]));
    const lanes = new Map<string, Lane>();
    for (const topic of this.#topics) {
      for (const shard of shards) {
        const name = `${topic.name} ${shard}`;
        const position = published.get(name) ?? 0n;
        lanes.set(name, { topic, shard, published: position, saved: position, hungry: true });
      }
    }
    this.#lanes = lanes;
    this.#term = term;
  }

  /** One batch. False: there is nothing more. */
  async #publish(client: pg.Client): Promise<boolean> {
    if (this.#lanes.size === 0) return false;
    // Before there is anything to publish too: topics are there for others, and trouble is known early.
    await this.#connected();
    if (performance.now() >= this.#pollAtMs) {
      this.#pollAtMs = performance.now() + POLL_MS;
      for (const lane of this.#lanes.values()) lane.hungry = true;
    }
    const hungry = [...this.#lanes.values()].filter((lane) => lane.hungry);
    if (hungry.length === 0) return false;
    // News that come from here on count for the next batch.
    for (const lane of hungry) lane.hungry = false;
    try {
      const batch = this.#share(hungry, await this.#read(client, hungry));
      await this.#sendAll(client, batch);
      // There may be more than was read.
      for (const { lane } of batch) lane.hungry = true;
      return batch.length > 0;
    } catch (error) {
      for (const lane of hungry) lane.hungry = true;
      throw error;
    }
  }

  /** The length of a value doesn't need its bytes, so only what is returned is read. */
  async #read(client: pg.Client, lanes: Lane[]): Promise<OutboxRow[]> {
    const bytes = Math.min(LANE_BYTES, Math.floor(BATCH_BYTES / lanes.length));
    const { rows } = await client.query<Omit<OutboxRow, 'position'> & { position: string }>({
      name: 'unpublished',
      text: `
        SELECT r.id::text, p.topic, p.shard, r.position::text, r.key, r.payload, r.traceparent
        FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS p (topic, shard, position)
        CROSS JOIN LATERAL (
          SELECT w.* FROM (
            SELECT o.*, sum(octet_length(o.payload)) OVER (ORDER BY o.position) AS bytes
            FROM (
              SELECT id, key, position, payload, traceparent FROM ${this.#outbox}.outbox
              WHERE topic = p.topic AND shard = p.shard AND position > p.position
              ORDER BY position LIMIT $4
            ) AS o
          ) AS w
          WHERE w.bytes <= $5 OR w.bytes = octet_length(w.payload)
        ) AS r
        ORDER BY p.topic, p.shard, r.position`,
      values: [
        lanes.map(({ topic }) => topic.name),
        lanes.map(({ shard }) => shard),
        lanes.map(({ published }) => String(published)),
        ROWS_PER_LANE,
        bytes,
      ],
    });
    return rows.map((row) => ({ ...row, position: BigInt(row.position) }));
  }

  #share(lanes: Lane[], rows: OutboxRow[]): { lane: Lane; rows: OutboxRow[] }[] {
    const byLane = Map.groupBy(rows, ({ topic, shard }) => `${topic} ${shard}`);
    return lanes.flatMap((lane) => {
      const own = byLane.get(`${lane.topic.name} ${lane.shard}`);
      return own === undefined ? [] : [{ lane, rows: own }];
    });
  }

  async #sendAll(client: pg.Client, batch: { lane: Lane; rows: OutboxRow[] }[]): Promise<void> {
    if (batch.length === 0) return;
    try {
      await this.#send(batch);
    } catch (error) {
      if (!isRefused(error)) throw error;
      // Something in it. Each partition by itself, one row at a time.
      for (const part of batch) await this.#sendOneByOne(client, part);
    }
  }

  async #sendOneByOne(client: pg.Client, { lane, rows }: { lane: Lane; rows: OutboxRow[] }): Promise<void> {
    for (const row of rows) {
      try {
        await this.#send([{ lane, rows: [row] }]);
      } catch (error) {
        if (!(error instanceof KafkaTrouble) || !isRefused(error)) throw error;
        this.#mustHoldLease();
        await this.#keepAside(client, row, error.cause);
        lane.published = row.position;
      }
    }
  }

  async #send(batch: { lane: Lane; rows: OutboxRow[] }[]): Promise<void> {
    const { topicPrefix } = this.#options;
    const producer = await this.#connected();
    const byTopic = Map.groupBy(batch, ({ lane }) => lane.topic);
    this.#mustHoldLease();
    const acknowledged = await this.#asking(
      producer.sendBatch({
        acks: -1,
        timeout: ACK_TIMEOUT_MS,
        topicMessages: [...byTopic].map(([topic, parts]) => ({
          topic: kafkaTopic(topic, topicPrefix),
          messages: parts.flatMap(({ rows }) => rows.map(messageOf)),
        })),
      }),
    );
    for (const { lane, rows } of batch) {
      const name = kafkaTopic(lane.topic, topicPrefix);
      const last = rows.at(-1);
      if (last === undefined || !acknowledged.some((one) => isFor(one, name, lane.shard))) {
        throw new KafkaTrouble(new Error(`Kafka did not acknowledge partition ${lane.shard} of ${name}`));
      }
      lane.published = last.position;
      this.#telemetry.published(lane.topic.name, rows.length);
    }
    this.#worksAgain();
  }

  #worksAgain(): void {
    if (this.#failures > 0) this.#telemetry.recovered(this.#failures);
    this.#failures = 0;
  }

  async #asking<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw new KafkaTrouble(error);
    }
  }

  #mustHoldLease(): void {
    const { untilMs, term } = this.#options.lease();
    if (term !== this.#term || performance.now() >= untilMs) throw new LeaseLost();
  }

  async #connected(): Promise<Producer> {
    if (this.#kafka !== undefined) return this.#kafka.producer;
    const { brokers, logger, database, topicPrefix } = this.#options;
    const client = openKafka({ brokers, logger, clientId: database.schema });
    // One attempt: a retry inside would not look at the lease, and kafkajs' skips partitions that moved to a broker which has answered.
    const producer = client.kafka.producer({
      createPartitioner: () => explicitPartition,
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
    });
    this.#kafka = { client, producer };
    await this.#asking(ensureTopics(client, this.#topics, topicPrefix));
    await this.#asking(producer.connect());
    this.#worksAgain();
    return producer;
  }

  #disconnect(): void {
    this.#kafka?.client.destroy();
    this.#kafka = undefined;
  }

  async #keepAside(client: pg.Client, row: OutboxRow, error: unknown): Promise<void> {
    await client.query(
      `INSERT INTO ${this.#outbox}.outbox_refused (id, topic, shard, position, key, payload, traceparent, error)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (id) DO UPDATE SET position = excluded.position, error = excluded.error, refused_at = now()`,
      [row.id, row.topic, row.shard, String(row.position), row.key, row.payload, row.traceparent, wordsOf(error)],
    );
    this.#telemetry.refused(row, error);
  }

  /** Forwards only: what is acknowledged stays so, whoever holds the shard by now. */
  async #save(client: pg.Client): Promise<void> {
    this.#saveAtMs = performance.now() + SAVE_EVERY_MS;
    const lanes = [...this.#lanes.values()].filter(({ published, saved }) => published > saved);
    if (lanes.length === 0) return;
    const positions = lanes.map(({ published }) => published);
    await client.query({
      name: 'save-published',
      text: `
        INSERT INTO ${this.#outbox}.outbox_published (topic, shard, position)
        SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS p (topic, shard, position) ORDER BY topic, shard
        ON CONFLICT (topic, shard) DO UPDATE SET position = excluded.position WHERE outbox_published.position < excluded.position`,
      values: [lanes.map(({ topic }) => topic.name), lanes.map(({ shard }) => shard), positions.map(String)],
    });
    for (const [index, lane] of lanes.entries()) lane.saved = positions[index]!;
  }
}

/** Of the brokers or the way to them; the cause is what kafkajs threw. */
class KafkaTrouble extends Error {
  constructor(cause: unknown) {
    super('Kafka did not take a batch', { cause });
    this.name = 'KafkaTrouble';
  }
}

/** Nothing leaves; whoever holds the shards now goes on. */
class LeaseLost extends Error {}

/** The shard is the partition; it stands in every message. */
function explicitPartition({ message }: { message: { partition?: number } }): number {
  if (message.partition === undefined) throw new TypeError('a message has no partition');
  return message.partition;
}

function isFor({ topicName, partition, errorCode }: RecordMetadata, topic: string, shard: number): boolean {
  return topicName === topic && partition === shard && errorCode === 0;
}

// What a broker says about the records themselves. Everything else is about it, the network or our rights, and is waited for.
const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

function isRefused(error: unknown): boolean {
  const type = errorType(error);
  return type !== undefined && refusals.has(type);
}
