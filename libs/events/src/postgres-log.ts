/**
 * The event log on PostgreSQL, for standalone and small installations: the sequenced outbox of the producing services *is* the log.
 * What consumers need beside it (positions, who reads what, parked records) is in the schema `event_log` of the same database.
 */
import { connectionTo } from '@maildoot/db/database';
import type { Logger } from '@maildoot/runtime/logger';
import pg from 'pg';
import { backOff } from './back-off.ts';
import { checkSubscribeOptions, type EventLog, type SubscribeOptions, type Subscription } from './log.ts';
import { LogSchema } from './log-schema.ts';
import { PostgresSubscription } from './postgres-subscription.ts';
import type { Topic } from './topics.ts';

export interface PostgresLogOptions {
  /** The database that all producers' schemas are in. */
  url: string;
  logger: Logger;
  /** Including the one that listens. Default 3. */
  maxConnections?: number;
  /** How long the partitions of a member that has gone silent stay with it. Default 10 s. */
  leaseMs?: number;
}

export function createPostgresLog(options: PostgresLogOptions): EventLog {
  return new PostgresLog(options);
}

/** What a subscription needs of the log. */
export interface LogConnections {
  /** Short statements, several at a time. */
  readonly pool: pg.Pool;
  readonly leaseMs: number;
  readonly logger: Logger;
  /** Resolves once `event_log` exists. */
  prepared(signal: AbortSignal): Promise<void>;
  /** Calls back for every NOTIFY on the channel, and with undefined when some may have been missed. */
  listen(channel: string, callback: (payload: string | undefined) => void): Disposable;
}

class PostgresLog implements EventLog, LogConnections {
  readonly pool: pg.Pool;
  readonly leaseMs: number;
  readonly logger: Logger;
  readonly #url: string;
  readonly #schema: LogSchema;
  readonly #subscriptions = new Set<AsyncDisposable>();
  readonly #listeners = new Map<string, Set<(payload: string | undefined) => void>>();
  readonly #stopping = new AbortController();
  #listening: Promise<void> | undefined;
  #listener: pg.Client | undefined;
  #ended: Promise<void> | undefined;

  constructor({ url, logger, maxConnections = 3, leaseMs = 10_000 }: PostgresLogOptions) {
    this.#url = url;
    this.#schema = new LogSchema(url, logger);
    this.logger = logger;
    this.leaseMs = leaseMs;
    this.pool = new pg.Pool({
      ...connectionTo(url, {
        search_path: 'event_log',
        // A position that a crash of PostgreSQL takes back is a record that comes again. What the handler committed before is safer than it.
        synchronous_commit: 'off',
        // Statements are prepared while the tables may still be empty; the plan must fit full ones.
        enable_seqscan: 'off',
        enable_bitmapscan: 'off',
        enable_sort: 'off',
        plan_cache_mode: 'force_generic_plan',
        jit: 'off',
      }),
      application_name: 'event-log',
      max: Math.max(1, maxConnections - 1),
      connectionTimeoutMillis: 5_000,
      idleTimeoutMillis: 30_000,
      statement_timeout: 30_000,
      query_timeout: 35_000,
      keepAlive: true,
    });
    this.pool.on('error', () => {});
    this.pool.on('connect', (client) => client.on('error', () => {}));
  }

  subscribe<E>(topic: Topic<E>, options: SubscribeOptions<E>): Subscription {
    if (this.#stopping.signal.aborted) throw new Error('the event log is closed');
    checkSubscribeOptions(options);
    const subscription = new PostgresSubscription(this, topic, options, () => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    subscription.start();
    return subscription;
  }

  prepared(signal: AbortSignal): Promise<void> {
    return this.#schema.prepared(signal);
  }

  listen(channel: string, callback: (payload: string | undefined) => void): Disposable {
    const callbacks = this.#listeners.get(channel) ?? new Set();
    callbacks.add(callback);
    if (!this.#listeners.has(channel)) {
      this.#listeners.set(channel, callbacks);
      // Without a connection at the moment it comes with the next one.
      this.#listener?.query(`LISTEN ${pg.escapeIdentifier(channel)}`).then(
        () => callback(undefined),
        () => {},
      );
    }
    this.#listening ??= this.#keepListening();
    return { [Symbol.dispose]: () => callbacks.delete(callback) };
  }

  async #keepListening(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      const client = new pg.Client({
        ...connectionTo(this.#url, {}),
        application_name: 'event-log listener',
        connectionTimeoutMillis: 5_000,
        keepAlive: true,
      });
      const lost = Promise.withResolvers<void>();
      client.on('error', () => lost.resolve());
      client.on('end', () => lost.resolve());
      client.on('notification', ({ channel, payload }) => this.#tell(channel, payload));
      const stop = () => lost.resolve();
      signal.addEventListener('abort', stop);
      try {
        await client.connect();
        for (const channel of this.#listeners.keys()) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
        this.#listener = client;
        failures = 0;
        for (const channel of this.#listeners.keys()) this.#tell(channel, undefined);
        await lost.promise;
      } catch {
        // The polling of the subscriptions bridges it, and says what is wrong.
      } finally {
        this.#listener = undefined;
        signal.removeEventListener('abort', stop);
        await client.end().catch(() => {});
      }
      await backOff(failures, signal);
    }
  }

  #tell(channel: string, payload: string | undefined): void {
    for (const callback of this.#listeners.get(channel) ?? []) callback(payload);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription[Symbol.asyncDispose]()));
    this.#stopping.abort();
    await this.#listening;
    await this.#schema.settled();
    await this.pool.end();
  }
}
