/**
 * The event log on Kafka. The sequenced outbox of each producing service is published into one topic per entry of the topic table
 * (publisher.ts); positions and members of a group are Kafka's. Parked records stay in PostgreSQL, in the schema `event_log`, so that they are
 * looked at and replayed the same way whichever log there is.
 */
import { connectionTo } from '@maildoot/db/database';
import type { Logger } from '@maildoot/runtime/logger';
import pg from 'pg';
import { KafkaSubscription, type KafkaSubscriptionContext } from './kafka-subscription.ts';
import { checkSubscribeOptions, type EventLog, type SubscribeOptions, type Subscription } from './log.ts';
import { LogSchema } from './log-schema.ts';
import { ParkedStore } from './parked-store.ts';
import type { Topic } from './topics.ts';

export interface KafkaLogOptions {
  brokers: readonly string[];
  /** The database for parked records. */
  url: string;
  logger: Logger;
  /** What brokers call us in their logs and quotas. */
  clientId: string;
  /** Before the names of topics and groups, where several platforms share a Kafka. Default none. */
  topicPrefix?: string;
  /** A connection that has answered nothing for so long is given up for another one. Default 20 s. */
  silentAfterMs?: number;
}

export function createKafkaLog(options: KafkaLogOptions): EventLog {
  return new KafkaLog(options);
}

class KafkaLog implements EventLog, KafkaSubscriptionContext {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  readonly topicPrefix: string;
  readonly silentAfterMs: number;
  readonly #schema: LogSchema;
  readonly #pool: pg.Pool;
  readonly #subscriptions = new Set<AsyncDisposable>();
  readonly #stopping = new AbortController();
  #ended: Promise<void> | undefined;

  constructor({ brokers, url, logger, clientId, topicPrefix = '', silentAfterMs = 20_000 }: KafkaLogOptions) {
    this.brokers = brokers;
    this.clientId = clientId;
    this.logger = logger;
    this.topicPrefix = topicPrefix;
    this.silentAfterMs = silentAfterMs;
    this.#schema = new LogSchema(url, logger);
    this.#pool = new pg.Pool({
      ...connectionTo(url, { search_path: 'event_log' }),
      application_name: 'event-log',
      max: 1,
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 30_000,
      statement_timeout: 30_000,
      query_timeout: 35_000,
      keepAlive: true,
    });
    this.#pool.on('error', () => {});
    this.#pool.on('connect', (client) => client.on('error', () => {}));
  }

  subscribe<E>(topic: Topic<E>, options: SubscribeOptions<E>): Subscription {
    if (this.#stopping.signal.aborted) throw new Error('the event log is closed');
    checkSubscribeOptions(options);
    const parked = new ParkedStore(this.#pool, topic.name, options.group);
    const subscription = new KafkaSubscription(this, topic, options, parked, () => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    subscription.start();
    return subscription;
  }

  prepared(signal: AbortSignal): Promise<void> {
    return this.#schema.prepared(signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()));
    this.#stopping.abort();
    await this.#schema.settled();
    await this.#pool.end();
  }
}
