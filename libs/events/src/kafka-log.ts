/**
 * The event log on Kafka. The sequenced outbox of each producing service is published into one topic per entry of the topic table
 * (publisher.ts); positions and members of a group are Kafka's. Parked records stay in PostgreSQL, in the schema `event_log`, so that they are
 * looked at and replayed the same way whichever log there is.
 */
import { connectionTo } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import type { Logger } from '@maildoot/runtime/logger';
import pg from 'pg';
import { backOff } from './back-off.ts';
import { KafkaSubscription, type KafkaSubscriptionContext } from './kafka-subscription.ts';
import type { EventLog, SubscribeOptions, Subscription } from './log.ts';
import { logMigrations } from './migrations.ts';
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
  readonly #url: string;
  readonly #pool: pg.Pool;
  readonly #subscriptions = new Set<AsyncDisposable>();
  readonly #stopping = new AbortController();
  #prepared: Promise<unknown> | undefined;
  #ended: Promise<void> | undefined;

  constructor({ brokers, url, logger, clientId, topicPrefix = '', silentAfterMs = 20_000 }: KafkaLogOptions) {
    this.brokers = brokers;
    this.clientId = clientId;
    this.logger = logger;
    this.topicPrefix = topicPrefix;
    this.silentAfterMs = silentAfterMs;
    this.#url = url;
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
    if (!(Number.isInteger(options.maxBatch) && options.maxBatch > 0)) throw new RangeError('maxBatch must be a whole number above 0');
    if (options.group === '') throw new RangeError('group must not be empty');
    const parked = new ParkedStore(this.#pool, topic.name, options.group);
    const subscription = new KafkaSubscription(this, topic, options, parked, () => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    subscription.start();
    return subscription;
  }

  async prepared(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures++) {
      signal.throwIfAborted();
      this.#prepared ??= migrate({ url: this.#url, schema: 'event_log', migrations: [logMigrations] });
      try {
        await this.#prepared;
        return;
      } catch (error) {
        this.#prepared = undefined;
        this.logger.warn({ err: error }, 'events: the log could not be prepared, trying again');
        await backOff(failures, signal);
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()));
    this.#stopping.abort();
    await this.#prepared?.catch(() => {});
    await this.#pool.end();
  }
}
