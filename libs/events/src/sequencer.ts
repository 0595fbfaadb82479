/**
 * Gives outbox rows their positions, after commit. A reader that followed a counter which the producers share would skip rows: the
 * transaction that took number 1 may commit after number 2 was read. Here a row that becomes visible late simply gets a later position.
 *
 * One pass:
 *   1. read the rows without a position, in order of insertion, across the shards that we hold
 *   2. number them, per topic and shard, behind the last position given
 *   3. write the positions in one statement that locks the leases and checks them: who lost a lease changes nothing
 *   4. tell the consumers
 *
 * The last positions live in memory: only the holder gives any, and a row updated in every pass would grow by a dead version per pass
 * for as long as a backup keeps its snapshot open. A new holder reads them from the rows.
 *
 * Lower bound: dead entries of the index of unsequenced rows can't be removed under such a snapshot either, so a pass starts behind them.
 * Every transaction takes its xid before its first serial (see the migration). So if the sequence stood at S before we took xid X
 * ourselves, all serials up to S belong to xids below X; once all of those have ended, a pass that took whatever it saw has
 * taken all that will ever be seen up to S.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import { dropExpired, ensurePartitions } from '@maildoot/db/partitions';
import type { Logger } from '@maildoot/runtime/logger';
import { Pace } from '@maildoot/runtime/pace';
import pg from 'pg';
import { backOff } from './back-off.ts';
import { announceHere, encodeNews, type News, newsChannelOf, wakeChannelOf } from './news.ts';
import { openSession } from './outbox-session.ts';
import { aliveHere, knownDead, thisProcess } from './process-identity.ts';
import { Publisher } from './publisher.ts';
import { isPublished, isReadByAll } from './retention.ts';
import { type SequencerTelemetry, sequencerTelemetry } from './telemetry.ts';
import { PARTITIONS } from './topics.ts';

export interface SequencerOptions {
  /** The producing service's. The sequencer opens one connection of its own beside the pool, with the pool's settings. */
  database: Pick<Database, 'pool' | 'schema'>;
  logger: Logger;
  /** How long the shards of a holder that has gone silent stay with it. Default 10 s. */
  leaseMs?: number;
  /** How long sequenced rows are kept; longer where a group of consumers, or Kafka, has not come so far. Default 7. */
  retentionDays?: number;
  /** Setting KAFKA_BROKERS: the holder of a shard also publishes its rows there. */
  kafkaBrokers?: readonly string[] | undefined;
  /** Before the names of topics, where several platforms share a Kafka. Default none. */
  topicPrefix?: string;
}

export interface Sequencer extends AsyncDisposable {
  /** Call it after a commit that appended. Cheap; calls during a pass become one more pass. */
  wake(): void;
  /** The outbox has its partitions and the leases were asked for. Rejects when the database refused; the sequencer keeps trying. */
  readonly ready: Promise<void>;
  /** The shards held at the moment. */
  readonly shards: readonly number[];
}

const BATCH_ROWS = 1_000;
const ALL_SHARDS = PARTITIONS;
const POLL_MS = 250;
const STANDBY_POLL_MS = 1_000;
const MAINTENANCE_EVERY_MS = 3_600_000;
const AHEAD_DAYS = 7;

export function startSequencer(options: SequencerOptions): Sequencer {
  const sequencer = new LeasedSequencer(options);
  sequencer.start();
  return sequencer;
}

interface Row {
  id: string;
  topic: string;
  shard: number;
  serial: string;
}

class LeasedSequencer implements Sequencer {
  readonly ready: Promise<void>;
  readonly #database: Pick<Database, 'pool' | 'schema'>;
  readonly #telemetry: SequencerTelemetry;
  readonly #leaseMs: number;
  readonly #retentionDays: number;
  readonly #outbox: string;
  readonly #holder = randomUUID();
  readonly #stopping = new AbortController();
  #ready = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();
  #heldShards: number[] = [];
  // `topic shard` → last position given.
  #heads = new Map<string, bigint>();
  #unsavedHeads = new Set<string>();
  #leaseUntilMs = 0;
  // Counts the times that a shard may have come or gone.
  #term = 0;
  readonly #publisher: Publisher | undefined;
  #renewAtMs = 0;
  /** Of passes: one takes what several transactions told. */
  readonly #pace = new Pace();
  #maintainAtMs = 0;
  #maintenance: Promise<void> = Promise.resolve();
  #bound = 0n;
  #nextBound: { serial: bigint; xid: bigint } | undefined;
  #woken = false;
  #wokenHere = false;
  #wakeUp: () => void = () => {};

  constructor({ database, logger, leaseMs = 10_000, retentionDays = 7, kafkaBrokers, topicPrefix = '' }: SequencerOptions) {
    this.#database = database;
    this.#telemetry = sequencerTelemetry(logger, database.schema);
    this.#leaseMs = leaseMs;
    this.#retentionDays = retentionDays;
    this.#outbox = pg.escapeIdentifier(database.schema);
    if (kafkaBrokers !== undefined) {
      const lease = () => ({ shards: this.#heldShards, untilMs: this.#leaseUntilMs, term: this.#term });
      this.#publisher = new Publisher({ database, brokers: kafkaBrokers, topicPrefix, logger, lease });
    }
    this.ready = this.#ready.promise;
    this.ready.catch(() => {});
  }

  get shards(): readonly number[] {
    return this.#heldShards;
  }

  start(): void {
    this.#running = this.#run();
    this.#publisher?.start();
  }

  wake(): void {
    this.#wokenHere = true;
    this.#rouse();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Before its shards are given back.
    await this.#publisher?.[Symbol.asyncDispose]();
    this.#stopping.abort();
    this.#rouse();
    await this.#running;
    await this.#maintenance;
  }

  #rouse(): void {
    this.#woken = true;
    this.#wakeUp();
  }

  async #run(): Promise<void> {
    using _ = aliveHere(this.#holder);
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        await using session = await this.#connect();
        await this.#work(session.client, () => {
          failures = 0;
        });
      } catch (error) {
        this.#forgetLeases();
        this.#ready.reject(error);
        if (this.#stopping.signal.aborted) break;
        this.#telemetry.interrupted(error);
        await backOff(failures++, this.#stopping.signal);
      }
    }
    this.#ready.resolve();
  }

  async #work(client: pg.Client, worked: () => void): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (performance.now() >= this.#maintainAtMs) await this.#maintain();
      if (performance.now() >= this.#renewAtMs) await this.#holdLeases(client);
      this.#ready.resolve();
      worked();
      await this.#wakeTheHolder(client);
      const full = await this.#pass(client);
      if (!full) await this.#idle();
    }
    await this.#giveBack(client);
  }

  /** True: there are more rows than one pass takes. */
  async #pass(client: pg.Client): Promise<boolean> {
    this.#woken = false;
    this.#pace.begin();
    if (this.#heldShards.length === 0) return false;
    const { rows, oldestRunningXid } = await this.#readUnsequenced(client);
    this.#pace.took(rows.length);
    if (rows.length > 0) {
      // By our own clock, from sending the renewal: the statement below checks by PostgreSQL's.
      if (performance.now() >= this.#leaseUntilMs) throw new Error('the lease ran out before it could be renewed');
      const numbered = this.#number(rows);
      const given = await this.#writePositions(client, numbered);
      if (given < rows.length) {
        // Another holder has some of the shards. Which positions were given is read again.
        this.#forgetLeases();
        return true;
      }
      await this.#announce(client, numbered);
    }
    const full = rows.length === BATCH_ROWS;
    if (!full && this.#nextBound !== undefined && oldestRunningXid >= this.#nextBound.xid) {
      this.#bound = this.#nextBound.serial;
      this.#nextBound = undefined;
    }
    return full;
  }

  async #readUnsequenced(client: pg.Client): Promise<{ rows: Row[]; oldestRunningXid: bigint }> {
    const { rows } = await client.query<Row & { xmin: string }>({
      name: 'unsequenced',
      text: `
        SELECT now.xmin, o.id::text, o.topic, o.shard, o.serial::text
        FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin) AS now
        LEFT JOIN LATERAL (
          SELECT id, topic, shard, serial FROM ${this.#outbox}.outbox
          WHERE position IS NULL AND serial > $1 AND shard = ANY($2::smallint[])
          ORDER BY serial LIMIT $3
        ) AS o ON true`,
      values: [String(this.#bound), this.#heldShards, BATCH_ROWS],
    });
    const oldestRunningXid = BigInt(rows[0]!.xmin);
    return { rows: rows[0]!.id === null ? [] : rows, oldestRunningXid };
  }

  #number(rows: Row[]): (Row & { position: bigint })[] {
    return rows.map((row) => {
      const partition = `${row.topic} ${row.shard}`;
      const position = (this.#heads.get(partition) ?? 0n) + 1n;
      this.#heads.set(partition, position);
      this.#unsavedHeads.add(partition);
      return { ...row, position };
    });
  }

  async #writePositions(client: pg.Client, rows: (Row & { position: bigint })[]): Promise<number> {
    const ids = rows.map(({ id }) => id);
    const shards = [...new Set(rows.map(({ shard }) => shard))];
    const sorted = ids.toSorted();
    const positions = Object.fromEntries(rows.map(({ id, position }) => [id, String(position)]));
    // No join, so that there is only one plan, whatever the planner believes about the size of the table: by the primary key, in the
    // partitions between the first and the last id. A lookup in jsonb takes a microsecond. `coalesce` keeps it off the index of
    // unsequenced rows, which is as long as the backlog.
    const { rowCount } = await client.query({
      name: 'sequence',
      text: `
        WITH held AS MATERIALIZED (
          SELECT shard FROM ${this.#outbox}.outbox_shard
          WHERE shard = ANY($2::smallint[]) AND holder = $1 AND expires_at > clock_timestamp()
          ORDER BY shard FOR NO KEY UPDATE
        )
        UPDATE ${this.#outbox}.outbox AS o SET position = ($4::jsonb ->> o.id::text)::bigint
        WHERE o.id = ANY($3::uuid[]) AND o.id BETWEEN $5 AND $6 AND coalesce(o.position, 0) = 0
          AND o.shard = ANY(ARRAY(SELECT shard FROM held))`,
      values: [this.#holder, shards, sorted, JSON.stringify(positions), sorted.at(0), sorted.at(-1)],
    });
    return rowCount ?? 0;
  }

  async #announce(client: pg.Client, rows: (Row & { position: bigint })[]): Promise<void> {
    const news: News = {};
    const perTopic = new Map<string, number>();
    for (const { topic, shard, position } of rows) {
      news[topic] ??= {};
      news[topic][shard] = String(position);
      perTopic.set(topic, (perTopic.get(topic) ?? 0) + 1);
    }
    for (const [topic, count] of perTopic) this.#telemetry.sequenced(topic, count);
    announceHere(this.#database.schema, news);
    this.#publisher?.wake(news);
    await client.query('SELECT pg_notify($1, $2)', [newsChannelOf(this.#database.schema), encodeNews(news)]);
  }

  /** Renews what is ours and takes what is free: never held, given back, expired, or of a process that has died on this machine. */
  async #holdLeases(client: pg.Client): Promise<void> {
    const { rows } = await client.query<{ shard: number; holder: string | null; machine: string; pid: number; expired: boolean }>(
      `SELECT shard, holder, machine, pid, expires_at <= clock_timestamp() AS expired FROM ${this.#outbox}.outbox_shard`,
    );
    const dead = rows
      .filter((row) => row.holder !== null && row.holder !== this.#holder && knownDead(row.holder, row))
      .map((row) => row.holder);
    const possible = rows.some((row) => row.holder === null || row.holder === this.#holder || row.expired || dead.includes(row.holder));
    if (!possible) {
      this.#setHeld([]);
      this.#renewAtMs = performance.now() + STANDBY_POLL_MS;
      return;
    }
    // A sequence that was never asked says 1, like one that was asked once.
    const sequence = await client.query<{ last: string }>(
      `SELECT (last_value - CASE WHEN is_called THEN 0 ELSE 1 END)::text AS last FROM ${this.#outbox}.outbox_serial`,
    );
    const sentAtMs = performance.now();
    const { machine, pid } = thisProcess();
    const taken = await client.query<{ shard: number; kept: boolean; xid: string }>(
      `WITH free AS MATERIALIZED (
         SELECT shard, holder FROM ${this.#outbox}.outbox_shard
         WHERE holder IS NULL OR holder = $1 OR holder = ANY($2::uuid[]) OR expires_at <= clock_timestamp()
         ORDER BY shard FOR NO KEY UPDATE
       )
       UPDATE ${this.#outbox}.outbox_shard AS s
       SET holder = $1, machine = $3, pid = $4, expires_at = clock_timestamp() + $5 * interval '1 millisecond'
       FROM free WHERE s.shard = free.shard
       RETURNING s.shard, coalesce(free.holder = $1, false) AS kept, pg_current_xact_id()::text AS xid`,
      [this.#holder, dead, machine, pid, this.#leaseMs],
    );
    const now = taken.rows.map(({ shard }) => shard).sort((a, b) => a - b);
    // Not by memory alone: a shard that another holder had in between may have come back to us unnoticed.
    const kept = taken.rows.every((row) => row.kept && this.#heldShards.includes(row.shard));
    if (!kept) {
      await this.#readHeads(client, now);
      this.#term++;
    } else await this.#saveHeads(client);
    const xid = taken.rows[0]?.xid;
    if (xid !== undefined) this.#nextBound ??= { serial: BigInt(sequence.rows[0]!.last), xid: BigInt(xid) };
    this.#setHeld(now);
    this.#leaseUntilMs = sentAtMs + this.#leaseMs * 0.8;
    this.#renewAtMs = sentAtMs + this.#leaseMs * 0.3;
    if (!kept) this.#publisher?.wake({});
  }

  #setHeld(shards: number[]): void {
    if (shards.length !== this.#heldShards.length) {
      this.#telemetry.leases(shards.length);
      this.#term++;
    }
    this.#heldShards = shards;
  }

  #forgetLeases(): void {
    this.#heldShards = [];
    this.#term++;
    this.#renewAtMs = 0;
    this.#forgetHeads();
  }

  /** They may be ahead of the rows: numbers that were never written. */
  #forgetHeads(): void {
    this.#bound = 0n;
    this.#nextBound = undefined;
    this.#heads.clear();
    this.#unsavedHeads.clear();
  }

  /** After a shard came to us: what its last holder gave is in the rows, or, where these were dropped, in outbox_head. */
  async #readHeads(client: pg.Client, shards: number[]): Promise<void> {
    await this.#saveHeadsOfRows(client);
    this.#forgetHeads();
    const { rows } = await client.query<{ topic: string; shard: number; position: string }>(
      `SELECT topic, shard, position::text FROM ${this.#outbox}.outbox_head WHERE shard = ANY($1::smallint[])`,
      [shards],
    );
    for (const { topic, shard, position } of rows) this.#heads.set(`${topic} ${shard}`, BigInt(position));
  }

  async #saveHeads(client: pg.Client): Promise<void> {
    if (this.#unsavedHeads.size === 0) return;
    const partitions = [...this.#unsavedHeads].map((partition) => partition.split(' '));
    await client.query(
      `INSERT INTO ${this.#outbox}.outbox_head (topic, shard, position)
       SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[])
       ON CONFLICT (topic, shard) DO UPDATE SET position = excluded.position WHERE outbox_head.position < excluded.position`,
      [
        partitions.map(([topic]) => topic),
        partitions.map(([, shard]) => shard),
        [...this.#unsavedHeads].map((partition) => String(this.#heads.get(partition))),
      ],
    );
    this.#unsavedHeads.clear();
  }

  /** Jumps from topic to topic and from shard to shard in the index, so it doesn't matter how many rows there are. */
  async #saveHeadsOfRows(client: pg.ClientBase): Promise<void> {
    await client.query(
      `WITH RECURSIVE topics (topic) AS (
         (SELECT topic FROM ${this.#outbox}.outbox WHERE position IS NOT NULL ORDER BY topic LIMIT 1)
         UNION ALL
         SELECT (SELECT o.topic FROM ${this.#outbox}.outbox AS o WHERE o.position IS NOT NULL AND o.topic > t.topic ORDER BY o.topic LIMIT 1)
         FROM topics AS t WHERE t.topic IS NOT NULL
       ), heads AS (
         SELECT t.topic, s.shard, (
           SELECT o.position FROM ${this.#outbox}.outbox AS o
           WHERE o.topic = t.topic AND o.shard = s.shard AND o.position IS NOT NULL
           ORDER BY o.position DESC LIMIT 1
         ) AS position
         FROM topics AS t, ${this.#outbox}.outbox_shard AS s WHERE t.topic IS NOT NULL
       )
       INSERT INTO ${this.#outbox}.outbox_head (topic, shard, position)
       SELECT topic, shard, position FROM heads WHERE position IS NOT NULL ORDER BY topic, shard
       ON CONFLICT (topic, shard) DO UPDATE SET position = excluded.position WHERE outbox_head.position < excluded.position`,
    );
  }

  /** Partitions for the days to come before anything else; then, and every hour, also none for those that are over. */
  async #maintain(): Promise<void> {
    if (this.#maintainAtMs === 0) await this.#ensurePartitions();
    this.#maintainAtMs = performance.now() + MAINTENANCE_EVERY_MS;
    // Beside the passes: a lock that it waits for must not keep events from being told.
    this.#maintenance = this.#maintenance.then(async () => {
      try {
        await this.#ensurePartitions();
        await this.#dropExpired();
      } catch (error) {
        this.#telemetry.maintenanceFailed(error);
      }
    });
  }

  #ensurePartitions(): Promise<unknown> {
    return ensurePartitions(this.#database.pool, { table: 'outbox', by: 'uuidv7', aheadDays: AHEAD_DAYS });
  }

  #dropExpired(): Promise<unknown> {
    return dropExpired(this.#database.pool, {
      table: 'outbox',
      retentionDays: this.#retentionDays,
      mayDrop: async (client, partition) => {
        const isDone = this.#publisher === undefined ? isReadByAll : isPublished;
        if (!(await isDone(client, partition))) {
          this.#telemetry.keptBack(partition);
          return false;
        }
        // The last position must outlive its row: positions would start again, behind the consumers.
        await this.#saveHeadsOfRows(client);
        return true;
      },
    });
  }

  /** A commit in this process, and the shards are with another: it would find the rows only by polling. */
  async #wakeTheHolder(client: pg.Client): Promise<void> {
    const here = this.#wokenHere;
    this.#wokenHere = false;
    if (here && this.#heldShards.length < ALL_SHARDS)
      await client.query('SELECT pg_notify($1, $2)', [wakeChannelOf(this.#database.schema), 'rows']);
  }

  async #giveBack(client: pg.Client): Promise<void> {
    if (this.#heldShards.length === 0) return;
    await this.#saveHeads(client);
    await client.query(`UPDATE ${this.#outbox}.outbox_shard SET holder = NULL, expires_at = clock_timestamp() WHERE holder = $1`, [
      this.#holder,
    ]);
    this.#forgetLeases();
    await client.query('SELECT pg_notify($1, $2)', [wakeChannelOf(this.#database.schema), 'leases']);
  }

  async #idle(): Promise<void> {
    const restMs = this.#pace.restMs();
    if (restMs > 0) await delay(restMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
    if (this.#woken || this.#wokenHere || this.#stopping.signal.aborted) return;
    const pollMs = this.#heldShards.length > 0 ? POLL_MS : STANDBY_POLL_MS;
    const waitMs = Math.max(0, Math.min(pollMs, this.#renewAtMs - performance.now()));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakeUp = resolve;
    const timer = setTimeout(resolve, waitMs);
    await promise;
    clearTimeout(timer);
    this.#wakeUp = () => {};
  }

  #connect(): Promise<{ client: pg.Client } & AsyncDisposable> {
    return openSession(this.#database, (client) => {
      client.on('error', () => this.#rouse());
      client.on('end', () => this.#rouse());
      client.on('notification', ({ payload }) => {
        if (payload === 'leases') this.#renewAtMs = 0;
        this.#rouse();
      });
      return client.query(`LISTEN ${pg.escapeIdentifier(wakeChannelOf(this.#database.schema))}`);
    });
  }
}
