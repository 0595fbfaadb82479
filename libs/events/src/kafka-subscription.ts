/**
 * One member of a group reading one topic of Kafka.
 *
 *   connecting   one connection after another; being a member, what was read and what was handled outlive them
 *   membership   joins, says twice a second that it lives, and when others come or go lets every running batch come to its end, commits,
 *                and only then joins again (in this protocol all members do, and the partitions are shared out anew)
 *   reading      one request per broker for all partitions that have room, answered as soon as there is a record
 *   handling     batch by batch, in order within a partition, several partitions at a time (process-batch.ts)
 *   replaying    parked records that somebody asked for, one by one, between two batches of their partition
 *   committing   positions of all partitions in one request, after their handlers returned
 *   watching     a connection whose requests are no longer answered is given up for another one
 *
 * Who may handle: the member itself counts a shorter time than the coordinator, from *sending* its last successful sign of life by its own
 * monotonic clock, and starts nothing after that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@maildoot/runtime/logger';
import { backOff } from './back-off.ts';
import { type Cluster, errorType, type FetchedMessage, type KafkaClient, notLeading, openKafka } from './kafka-client.ts';
import { KafkaGroup, type Membership, standingOf } from './kafka-group.ts';
import { rawRecordOf } from './kafka-record.ts';
import { ensureTopics, kafkaTopic } from './kafka-topics.ts';
import type { SubscribeOptions, Subscription } from './log.ts';
import type { ParkedStore } from './parked-store.ts';
import { defaultRetry, type Processing, processBatch, type RawRecord } from './process-batch.ts';
import { Pulse } from './pulse.ts';
import { RecentIds } from './recent-ids.ts';
import { replayParked } from './replay.ts';
import { type ConsumerTelemetry, consumerTelemetry } from './telemetry.ts';
import type { Topic } from './topics.ts';

/** What a subscription needs of its log. */
export interface KafkaSubscriptionContext {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  readonly topicPrefix: string;
  readonly silentAfterMs: number;
  /** Resolves once the table of parked records is there. */
  prepared(signal: AbortSignal): Promise<void>;
}

const DEFAULT_CONCURRENCY = 4;
// The least that brokers allow by default. A member that was killed keeps its partitions for so long.
const SESSION_MS = 6_000;
const LEASE_MS = SESSION_MS * 0.8;
const HEARTBEAT_MS = 500;
// A handler may run for minutes, and its partition doesn't change hands meanwhile.
const REBALANCE_MS = 300_000;
const JOIN_MS = REBALANCE_MS + 15_000;
// Partitions for which the brokers have no leader yet are looked for again.
const LEADERLESS_MS = 1_000;
const COMMIT_EVERY_MS = 50;
const FETCH_WAIT_MS = 500;
const FETCH_BYTES = 4_000_000;
const FETCH_PARTITION_BYTES = 500_000;
// What a handler gets at a time, and what waits for it in memory.
const BATCH_BYTES = 1_000_000;
const QUEUE_BYTES = 1_000_000;
const REPLAYS_EVERY_MS = 2_000;
const LEAVE_MS = 3_000;
// More than a publisher may repeat: a batch, and what it had not noted yet.
const RECENT_IDS = 1_000;

/** A partition while it is ours. Losing it and getting it again makes another one. */
interface Term {
  readonly partition: number;
  /** The next record to read. */
  read: bigint;
  /** The next one to handle: all before it are handled or parked. */
  handled: bigint;
  committed: bigint;
  queue: RawRecord[];
  queuedBytes: number;
  /** Parked records are to be handled once more. */
  replay: boolean;
  readonly recent: RecentIds;
  /** No new batch: to be given back, or lost. */
  readonly ending: AbortController;
}

/** One connection to the brokers, over as soon as anything about it fails. */
interface Connection {
  readonly client: KafkaClient;
  readonly cluster: Cluster;
  readonly group: KafkaGroup;
  readonly since: number;
  /** Aborts when it is over. */
  readonly over: AbortController;
  /** The answer, or a rejection as soon as the connection is over: whatever kafkajs does with its promise. */
  ask<T>(answer: Promise<T>): Promise<T>;
}

export class KafkaSubscription<E> implements Subscription {
  readonly #context: KafkaSubscriptionContext;
  readonly #topic: Topic<E>;
  readonly #name: string;
  readonly #options: SubscribeOptions<E>;
  readonly #parked: ParkedStore;
  readonly #telemetry: ConsumerTelemetry;
  readonly #onEnd: () => void;
  readonly #terms = new Map<number, Term>();
  readonly #recent = new Map<number, RecentIds>();
  /** No new batches, no new membership. */
  readonly #draining = new AbortController();
  /** Nothing at all. */
  readonly #stopping = new AbortController();
  /** Our id lives on when we have to join anew. */
  #membership: Membership | undefined;
  #isMember = false;
  #connection: Connection | undefined;
  #leaseUntilMs = 0;
  /** Partitions with a batch under way, also of a term that was lost: the next one waits for it. */
  readonly #busy = new Set<number>();
  #lastFetchMs = performance.now();
  #lastHeartbeatMs = performance.now();
  #joiningUntilMs = 0;
  readonly #roomToRead = new Pulse();
  readonly #released = new Pulse();
  #committing: Promise<void> | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #ended: Promise<void> | undefined;

  constructor(context: KafkaSubscriptionContext, topic: Topic<E>, options: SubscribeOptions<E>, parked: ParkedStore, onEnd: () => void) {
    this.#context = context;
    this.#topic = topic;
    this.#name = kafkaTopic(topic, context.topicPrefix);
    this.#options = options;
    this.#parked = parked;
    this.#onEnd = onEnd;
    this.#telemetry = consumerTelemetry(context.logger, topic.name, options.group);
  }

  get partitions(): readonly number[] {
    return [...this.#terms.keys()].sort((a, b) => a - b);
  }

  lastFetchAgeMs(): number {
    const nowMs = performance.now();
    // Waiting for another member's handler is no silence, for as long as it may take.
    const allowedMs = nowMs < this.#joiningUntilMs ? JOIN_MS : 0;
    return Math.max(0, nowMs - this.#lastFetchMs - allowedMs);
  }

  start(): void {
    this.#loops = Promise.all([this.#keepConnected(), this.#keepLookingForReplays()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#draining.abort();
    for (const term of this.#terms.values()) term.ending.abort();
    await this.#idle(this.#stopping.signal);
    await Promise.race([this.#leave(), delay(LEAVE_MS, undefined, { ref: false })]);
    this.#stopping.abort();
    this.#connection?.over.abort();
    await this.#loops;
    this.#terms.clear();
    this.#onEnd();
  }

  /** What is not committed comes again; who doesn't leave is waited for by the others. */
  async #leave(): Promise<void> {
    const connection = this.#connection;
    const membership = this.#membership;
    if (connection === undefined || membership === undefined) return;
    try {
      await this.#commitNow(connection, membership);
      await connection.ask(connection.group.leave(membership));
    } catch (error) {
      if (standingOf(error) === 'elsewhere') this.#telemetry.interrupted(error);
    }
  }

  // Connecting

  async #keepConnected(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      const connection = this.#connect();
      try {
        await this.#work(connection, () => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) break;
        this.#telemetry.interrupted(error);
        await backOff(failures++, signal);
      } finally {
        connection.over.abort();
        connection.client.destroy();
      }
    }
  }

  #connect(): Connection {
    const { brokers, clientId, logger } = this.#context;
    const client = openKafka({ brokers, clientId, logger });
    const cluster = client.openCluster();
    const over = new AbortController();
    const groupId = `${this.#context.topicPrefix}${this.#options.group}.${this.#topic.name}`;
    const group = new KafkaGroup(cluster, { groupId, topic: this.#name, sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS });
    this.#connection = { client, cluster, group, since: performance.now(), over, ask: (answer) => unlessAborted(answer, over.signal) };
    return this.#connection;
  }

  async #work(connection: Connection, worked: () => void): Promise<void> {
    using _ = this.#watch(connection);
    const { cluster, client, ask } = connection;
    await ask(ensureTopics(client, [this.#topic], this.#context.topicPrefix));
    await ask(cluster.connect());
    await ask(cluster.addMultipleTargetTopics([this.#name]));
    while (!this.#stopping.signal.aborted) {
      if (!this.#isMember) await this.#join(connection);
      if (this.#isMember) await this.#beMember(connection, worked);
    }
  }

  /** Gives a connection up on which nothing was answered for too long, though nothing failed either. */
  #watch({ over, since }: Connection): Disposable {
    const { silentAfterMs } = this.#context;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs < this.#joiningUntilMs) return;
      const silentMs = nowMs - Math.max(since, Math.min(this.#lastFetchMs, this.#lastHeartbeatMs));
      if (silentMs > silentAfterMs) over.abort(new Error(`Kafka has not answered for ${Math.round(silentMs)} ms`));
    }, silentAfterMs / 10);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  // Membership

  async #join({ group, ask }: Connection): Promise<void> {
    if (this.#draining.signal.aborted) {
      await untilAborted(this.#stopping.signal);
      return;
    }
    let sentAtMs = performance.now();
    this.#joiningUntilMs = sentAtMs + JOIN_MS;
    try {
      const partitions = await ask(
        group.join(this.#membership?.memberId ?? '', (membership) => {
          this.#membership = membership;
          sentAtMs = performance.now();
        }),
      );
      this.#leaseUntilMs = sentAtMs + LEASE_MS;
      const positions = await ask(group.positions(partitions));
      for (const partition of this.#recent.keys()) if (!positions.has(partition)) this.#recent.delete(partition);
      for (const [partition, position] of positions) this.#begin(partition, position);
      this.#isMember = true;
      this.#answered();
      this.#telemetry.partitions(partitions);
    } catch (error) {
      const standing = standingOf(error);
      if (standing === 'unknown') this.#membership = undefined;
      // The others were faster: once more, from the beginning.
      if (standing === 'elsewhere') throw error;
      this.#answered();
      await delay(50, undefined, { signal: this.#stopping.signal }).catch(() => {});
    } finally {
      this.#joiningUntilMs = 0;
    }
  }

  #answered(): void {
    this.#lastFetchMs = performance.now();
    this.#lastHeartbeatMs = performance.now();
  }

  #begin(partition: number, position: bigint): void {
    const recent = this.#recent.get(partition) ?? new RecentIds(RECENT_IDS);
    this.#recent.set(partition, recent);
    const ending = new AbortController();
    if (this.#draining.signal.aborted) ending.abort();
    const at = { read: position, handled: position, committed: position };
    this.#terms.set(partition, { partition, ...at, queue: [], queuedBytes: 0, replay: false, recent, ending });
  }

  /** Until the partitions have to be shared out anew. */
  async #beMember(connection: Connection, worked: () => void): Promise<void> {
    const membership = this.#membership;
    if (membership === undefined) return;
    const done = new AbortController();
    using _ = abortedWith(done, connection.over.signal);
    const endingOthers = async (work: Promise<void>) => {
      try {
        await work;
      } finally {
        done.abort();
      }
    };
    const results = await Promise.allSettled([
      endingOthers(this.#keepAlive(connection, membership, worked, done.signal)),
      endingOthers(this.#keepReading(connection, done.signal)),
    ]);
    connection.over.signal.throwIfAborted();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #keepAlive(connection: Connection, membership: Membership, worked: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const standing = await this.#showLife(connection, membership);
      if (standing === 'unknown' || standing === 'outdated') return this.#loseAll(standing === 'unknown');
      worked();
      // A coordinator that was restarted in the middle of a rebalance has forgotten it, and our partitions have come to their end already.
      const over = !this.#draining.signal.aborted && [...this.#terms.values()].some(({ ending }) => ending.signal.aborted);
      if (standing === 'rebalance' || over) return this.#handOver(connection, membership, signal);
      await delay(HEARTBEAT_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #showLife({ group, ask }: Connection, membership: Membership): Promise<'member' | 'rebalance' | 'outdated' | 'unknown'> {
    const sentAtMs = performance.now();
    try {
      await ask(group.heartbeat(membership));
    } catch (error) {
      const standing = standingOf(error);
      if (standing === 'elsewhere') throw error;
      if (standing !== 'rebalance') return standing;
      // It counts as a sign of life.
      this.#alive(sentAtMs);
      return standing;
    }
    this.#alive(sentAtMs);
    return 'member';
  }

  #alive(sentAtMs: number): void {
    const lapsed = performance.now() >= this.#leaseUntilMs;
    this.#leaseUntilMs = sentAtMs + LEASE_MS;
    this.#lastHeartbeatMs = performance.now();
    if (!lapsed) return;
    this.#roomToRead.beat();
    this.#dispatch();
  }

  /** Lets what runs come to its end, says meanwhile that we live, and commits: the next owner goes on behind it. */
  async #handOver(connection: Connection, membership: Membership, signal: AbortSignal): Promise<void> {
    for (const term of this.#terms.values()) term.ending.abort();
    while (this.#busy.size > 0) {
      await this.#idle(signal, HEARTBEAT_MS);
      if (signal.aborted) return;
      const standing = await this.#showLife(connection, membership);
      if (standing === 'unknown' || standing === 'outdated') return this.#loseAll(standing === 'unknown');
    }
    try {
      await this.#commitNow(connection, membership);
    } catch (error) {
      if (standingOf(error) === 'elsewhere') throw error;
    }
    this.#loseAll(false);
  }

  /** Running batches go on to their end, but what they have done isn't committed any more. */
  #loseAll(unknown: boolean): void {
    for (const term of this.#terms.values()) {
      term.ending.abort();
      term.queue = [];
    }
    this.#terms.clear();
    this.#isMember = false;
    if (unknown) this.#membership = undefined;
  }

  /** Until no batch is under way. */
  async #idle(signal: AbortSignal, longestMs = Number.POSITIVE_INFINITY): Promise<void> {
    const untilMs = performance.now() + longestMs;
    while (this.#busy.size > 0 && !signal.aborted && performance.now() < untilMs) {
      const then = this.#released.now;
      await this.#released.since(then, Math.min(longestMs, 60_000), signal);
    }
  }

  #mayGoOn(term: Term): boolean {
    return !term.ending.signal.aborted && performance.now() < this.#leaseUntilMs;
  }

  async #keepLookingForReplays(): Promise<void> {
    const { signal } = this.#stopping;
    await this.#context.prepared(signal).catch(() => {});
    while (!signal.aborted) {
      try {
        for (const partition of this.#terms.size === 0 ? [] : await this.#parked.partitionsToReplay()) {
          const term = this.#terms.get(partition);
          if (term !== undefined) term.replay = true;
        }
        this.#dispatch();
      } catch (error) {
        if (!signal.aborted) this.#telemetry.interrupted(error);
      }
      await delay(REPLAYS_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  // Reading

  async #keepReading(connection: Connection, signal: AbortSignal): Promise<void> {
    const { cluster, ask } = connection;
    while (!signal.aborted) {
      await ask(cluster.refreshMetadataIfNecessary());
      const own = cluster.findTopicPartitionMetadata(this.#name).filter(({ partitionId }) => this.#terms.has(partitionId));
      const led = own.filter(({ leader }) => leader >= 0);
      const byNode = Map.groupBy(led, ({ leader }) => leader);
      // Ends together: when one broker no longer leads its partitions, others have got them.
      const round = new AbortController();
      using _ = abortedWith(round, signal);
      const lookAgain = led.length < own.length ? setTimeout(() => round.abort(), LEADERLESS_MS) : undefined;
      const failures: unknown[] = [];
      await Promise.all(
        [...byNode].map(async ([nodeId, partitions]) => {
          try {
            await this.#readFrom(
              connection,
              nodeId,
              partitions.map(({ partitionId }) => partitionId),
              round.signal,
            );
          } catch (error) {
            failures.push(error);
          } finally {
            round.abort();
          }
        }),
      );
      clearTimeout(lookAgain);
      if (byNode.size === 0) {
        // Nothing is ours to read, or there is nobody to ask.
        this.#lastFetchMs = this.#lastHeartbeatMs;
        await delay(HEARTBEAT_MS, undefined, { signal }).catch(() => {});
      }
      if (led.length < own.length) await ask(cluster.refreshMetadata());
      for (const failure of failures) await this.#mend(failure, connection);
    }
  }

  async #readFrom({ cluster, ask }: Connection, nodeId: number, partitions: number[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const then = this.#roomToRead.now;
      const terms = partitions.flatMap((partition) => this.#terms.get(partition) ?? []);
      const wanted = terms.filter((term) => this.#hasRoom(term) && this.#mayGoOn(term));
      if (wanted.length === 0) {
        // Nothing is asked, so nothing is silent as long as the coordinator answers.
        this.#lastFetchMs = this.#lastHeartbeatMs;
        await this.#roomToRead.since(then, HEARTBEAT_MS, signal);
        continue;
      }
      const broker = await ask(cluster.findBroker({ nodeId }));
      const { responses } = await ask(
        broker.fetch({
          maxWaitTime: FETCH_WAIT_MS,
          minBytes: 1,
          maxBytes: FETCH_BYTES,
          isolationLevel: 1,
          rackId: '',
          topics: [
            {
              topic: this.#name,
              partitions: wanted.map(({ partition, read }) => ({
                partition,
                fetchOffset: String(read),
                maxBytes: FETCH_PARTITION_BYTES,
              })),
            },
          ],
        }),
      );
      this.#lastFetchMs = performance.now();
      for (const { partition, messages } of responses.flatMap((response) => response.partitions)) {
        const term = wanted.find((one) => one.partition === partition);
        if (term !== undefined) this.#enqueue(term, messages);
      }
      this.#dispatch();
    }
  }

  #hasRoom({ queue, queuedBytes }: Term): boolean {
    return queue.length < 2 * this.#options.maxBatch && queuedBytes < QUEUE_BYTES;
  }

  #enqueue(term: Term, messages: FetchedMessage[]): void {
    for (const message of messages) {
      const offset = BigInt(message.offset);
      // A compressed batch comes from its beginning.
      if (offset < term.read) continue;
      term.read = offset + 1n;
      if (message.isControlRecord) continue;
      const record = rawRecordOf(this.#name, term.partition, message);
      term.queue.push(record);
      term.queuedBytes += sizeOf(record);
    }
  }

  /** What a failed request says about the partitions is mended; everything else ends the connection. */
  async #mend(failure: unknown, { cluster, group, ask }: Connection): Promise<void> {
    const type = errorType(failure);
    if (type === 'OFFSET_OUT_OF_RANGE') {
      // The topic's retention was faster than we, or a broker lost what it had acknowledged: what there is still, is read, rather twice.
      const { partition } = failure as { partition: number };
      const oldest = (await ask(group.oldest([partition]))).get(partition);
      const term = this.#terms.get(partition);
      if (term === undefined || oldest === undefined) return;
      this.#telemetry.outOfRange(partition, term.read, oldest);
      term.ending.abort();
      this.#begin(partition, oldest);
      return;
    }
    if (type === undefined || !notLeading.has(type)) throw failure;
    await delay(100);
    await ask(cluster.refreshMetadata());
  }

  // Handling

  #dispatch(): void {
    const { concurrency = DEFAULT_CONCURRENCY } = this.#options;
    for (const term of this.#terms.values()) {
      if (this.#busy.size >= concurrency) return;
      if (this.#busy.has(term.partition) || !(term.replay || term.queue.length > 0) || !this.#mayGoOn(term)) continue;
      this.#busy.add(term.partition);
      void (term.replay ? this.#replay(term) : this.#handle(term));
    }
  }

  async #handle(term: Term): Promise<void> {
    const batch = this.#take(term);
    const fresh = unrepeated(batch, term.recent);
    if (fresh.length < batch.length) this.#telemetry.repeated(batch.length - fresh.length);
    let done = 0;
    try {
      done = await processBatch(fresh, this.#processing(term));
    } catch (error) {
      this.#telemetry.interrupted(error);
      await backOff(5, term.ending.signal);
    }
    for (const { id } of fresh.slice(0, done)) term.recent.add(id);
    const rest = done < fresh.length ? batch.slice(batch.indexOf(fresh[done]!)) : [];
    term.queue.unshift(...rest);
    for (const record of rest) term.queuedBytes += sizeOf(record);
    const last = batch[batch.length - rest.length - 1];
    if (last !== undefined) term.handled = last.position + 1n;
    this.#release(term);
  }

  /** The next batch: so many records, and at most 1 MB of them, but always one. */
  #take(term: Term): RawRecord[] {
    let bytes = 0;
    let count = 0;
    for (const record of term.queue.slice(0, this.#options.maxBatch)) {
      bytes += record.payload.byteLength;
      if (count > 0 && bytes > BATCH_BYTES) break;
      count++;
    }
    const batch = term.queue.splice(0, count);
    for (const record of batch) term.queuedBytes -= sizeOf(record);
    this.#roomToRead.beat();
    return batch;
  }

  async #replay(term: Term): Promise<void> {
    term.replay = false;
    try {
      term.replay = await replayParked(this.#parked, term.partition, this.#processing(term));
    } catch (error) {
      this.#telemetry.interrupted(error);
      await backOff(5, term.ending.signal);
    }
    this.#release(term);
  }

  #release(term: Term): void {
    this.#busy.delete(term.partition);
    // To the end of the line: a partition that always has more must not keep the others waiting.
    if (this.#terms.get(term.partition) === term) {
      this.#terms.delete(term.partition);
      this.#terms.set(term.partition, term);
      if (!term.ending.signal.aborted) this.#commitSoon();
    }
    this.#released.beat();
    this.#dispatch();
  }

  #processing(term: Term): Processing<E> {
    const { group, handle, isTransient, retry } = this.#options;
    return {
      topic: this.#topic,
      group,
      handle,
      ...(isTransient !== undefined && { isTransient }),
      retry: { ...defaultRetry, ...retry },
      park: async (parking) => {
        await this.#context.prepared(this.#stopping.signal);
        await this.#parked.park(parking);
      },
      telemetry: this.#telemetry,
      mayGoOn: () => this.#mayGoOn(term),
      signal: term.ending.signal,
    };
  }

  // Committing

  #commitSoon(): void {
    this.#committing ??= this.#commitAll().finally(() => {
      this.#committing = undefined;
    });
  }

  async #commitAll(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; ) {
      await delay(COMMIT_EVERY_MS, undefined, { signal }).catch(() => {});
      const connection = this.#connection;
      const membership = this.#membership;
      const waiting = [...this.#terms.values()].some(({ handled, committed }) => handled > committed);
      if (!waiting || connection === undefined || membership === undefined) return;
      try {
        await this.#commitNow(connection, membership);
        failures = 0;
      } catch (error) {
        // What the coordinator says of the membership, the next sign of life hears too.
        if (standingOf(error) !== 'elsewhere') return;
        await backOff(failures++, signal);
      }
    }
  }

  async #commitNow({ group, ask }: Connection, membership: Membership): Promise<void> {
    const next = [...this.#terms.values()].filter(({ handled, committed }) => handled > committed);
    if (next.length === 0) return;
    const positions = next.map(({ partition, handled }) => ({ partition, position: handled }));
    await ask(group.commit(membership, positions));
    for (const [index, term] of next.entries()) term.committed = positions[index]!.position;
  }
}

/** Without those that were handled before, and without the second of two that are the same. */
function unrepeated(batch: RawRecord[], recent: RecentIds): RawRecord[] {
  const here = new Set<string>();
  return batch.filter(({ id }) => {
    if (recent.has(id) || here.has(id)) return false;
    here.add(id);
    return true;
  });
}

function sizeOf({ payload, key }: RawRecord): number {
  return payload.byteLength + key.length + 200;
}

/** Not by Promise.race: each would stay attached to whatever is over one day, and keep its answer in memory until then. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp);
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

function abortedWith(controller: AbortController, signal: AbortSignal): Disposable {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', abort) };
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
