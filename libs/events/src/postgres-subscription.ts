/**
 * One member of a group reading one topic of the PostgreSQL log.
 *
 *   membership  renews, gives up members that are gone, takes and gives back partitions until each member has its share
 *   reading     one query for all partitions that may have news; at most one batch ahead of the handler
 *   handling    batch by batch, in order within a partition, several partitions at a time (process-batch.ts)
 *   replaying   parked records that somebody asked for, one by one, between two batches of their partition
 *   committing  positions of all partitions in one statement, at most every 20 ms
 *
 * Who may handle: the owner written in the partition's row, while its member row lives by PostgreSQL's clock. The member itself counts a
 * shorter time from *sending* the renewal by its own monotonic clock, and starts nothing after that. Others take a partition only
 * after they have deleted the silent member's row, and a deleted id never comes back: a late renewal finds nothing to renew.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { newUuid } from '@maildoot/runtime/ids';
import { Pace } from '@maildoot/runtime/pace';
import { backOff } from './back-off.ts';
import type { SubscribeOptions, Subscription } from './log.ts';
import { decodeNews, listenHere, type News, newsChannel } from './news.ts';
import { ParkedStore } from './parked-store.ts';
import type { LogConnections } from './postgres-log.ts';
import { defaultRetry, type Processing, processBatch, type RawRecord } from './process-batch.ts';
import { aliveHere, knownDead, thisProcess } from './process-identity.ts';
import { replayParked } from './replay.ts';
import { type Assignment, membersChannel, type PartitionPosition, SubscriptionStore } from './subscription-store.ts';
import { type ConsumerTelemetry, consumerTelemetry } from './telemetry.ts';
import { schemaOf, type Topic } from './topics.ts';

const DEFAULT_CONCURRENCY = 4;
const COMMIT_EVERY_MS = 20;
// News can be missed: the connection that listens was lost, a sequencer died between its commit and its NOTIFY.
const POLL_MS = 500;

/** A partition while it is ours. Losing it and getting it again makes another one. */
interface Term {
  readonly partition: number;
  /** Up to where records were read. */
  read: bigint;
  /** Up to where they are handled or parked. */
  handled: bigint;
  committed: bigint;
  queue: RawRecord[];
  /** Parked records are to be handled once more. */
  replay: boolean;
  /** There may be more to read. */
  hungry: boolean;
  /** Counts news, so that those that come during a fetch aren't forgotten after it. */
  news: number;
  /** No new batch: to be given back, or lost. */
  readonly ending: AbortController;
}

export class PostgresSubscription<E> implements Subscription {
  readonly #log: LogConnections;
  readonly #topic: Topic<E>;
  readonly #options: SubscribeOptions<E>;
  readonly #store: SubscriptionStore;
  readonly #parked: ParkedStore;
  readonly #telemetry: ConsumerTelemetry;
  readonly #onEnd: () => void;
  readonly #terms = new Map<number, Term>();
  /** No new batches. */
  readonly #draining = new AbortController();
  /** No renewals either. */
  readonly #stopping = new AbortController();
  #member: string | undefined;
  #joined: Disposable | undefined;
  #leaseUntilMs = 0;
  #pollAtMs = 0;
  /** Of fetches that don't bring all that was asked for: one takes what several passes of a sequencer gave. */
  readonly #pace = new Pace();
  /** Partitions with a batch under way, also of a term that was lost: the next one waits for it. */
  readonly #busy = new Set<number>();
  #lastFetchMs = performance.now();
  #membersChanged = signalOnce();
  #readSoon = signalOnce();
  #committing: Promise<void> | undefined;
  #idle: (() => void) | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #ended: Promise<void> | undefined;

  constructor(log: LogConnections, topic: Topic<E>, options: SubscribeOptions<E>, onEnd: () => void) {
    this.#log = log;
    this.#topic = topic;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#store = new SubscriptionStore(log.pool, topic, options.group);
    this.#parked = new ParkedStore(log.pool, topic.name, options.group);
    this.#telemetry = consumerTelemetry(log.logger, topic.name, options.group);
  }

  get partitions(): readonly number[] {
    return [...this.#terms.keys()].sort((a, b) => a - b);
  }

  lastFetchAgeMs(): number {
    return performance.now() - this.#lastFetchMs;
  }

  start(): void {
    this.#loops = Promise.all([this.#keepMembership(), this.#keepReading()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#draining.abort();
    for (const term of this.#terms.values()) term.ending.abort();
    if (this.#busy.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idle = resolve;
      await promise;
    }
    this.#stopping.abort();
    await this.#loops;
    await this.#committing;
    if (this.#member !== undefined) {
      const positions = [...this.#terms.values()].map(({ partition, handled }) => ({ partition, position: handled }));
      // Without it the others wait until the lease has expired, and the last records come again.
      await this.#store.leave(this.#member, positions).catch((error: unknown) => this.#telemetry.interrupted(error));
    }
    this.#joined?.[Symbol.dispose]();
    this.#terms.clear();
    this.#onEnd();
  }

  // Membership

  async #keepMembership(): Promise<void> {
    const { signal } = this.#stopping;
    await this.#log.prepared(signal).catch(() => {});
    using _ = this.#log.listen(membersChannel, (payload) => {
      if (payload === undefined || payload === this.#store.membersPayload) this.#membersChanged.set();
    });
    for (let failures = 0; !signal.aborted; ) {
      try {
        this.#membersChanged.clear();
        await this.#renew();
        await this.#balance();
        await this.#lookForReplays();
        failures = 0;
        await this.#membersChanged.wait(this.#log.leaseMs / 4, signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#telemetry.interrupted(error);
        await backOff(failures++, signal);
      }
    }
  }

  async #renew(): Promise<void> {
    const sentAtMs = performance.now();
    if (this.#member !== undefined && !(await this.#store.renew(this.#member, this.#log.leaseMs))) {
      for (const term of this.#terms.values()) this.#lose(term);
      this.#member = undefined;
      this.#joined?.[Symbol.dispose]();
    }
    if (this.#member === undefined) {
      if (this.#draining.signal.aborted) return;
      await this.#join();
    }
    this.#leaseUntilMs = sentAtMs + this.#log.leaseMs * 0.8;
    if (this.#terms.size === 0) this.#lastFetchMs = performance.now();
    this.#readSoon.set();
    this.#dispatch();
  }

  async #join(): Promise<void> {
    const member = newUuid();
    const joined = aliveHere(member);
    try {
      await this.#store.join(member, thisProcess(), this.#log.leaseMs);
    } catch (error) {
      // The row may be there although the answer isn't: unmarked, it counts as that of a dead process and is removed.
      joined[Symbol.dispose]();
      throw error;
    }
    this.#joined = joined;
    this.#member = member;
  }

  /** One step towards equal shares; every change tells the others to take theirs. */
  async #balance(): Promise<void> {
    const me = this.#member;
    if (me === undefined) return;
    let members = await this.#store.members();
    const others = members.filter(({ member }) => member !== me);
    const dead = others.filter((other) => knownDead(other.member, other)).map(({ member }) => member);
    const expired = others.filter((other) => other.expired).map(({ member }) => member);
    if (dead.length + expired.length > 0) {
      const removed = await this.#store.remove(expired, dead);
      members = members.filter(({ member }) => !removed.includes(member));
    }
    const assignments = await this.#store.assignments();
    this.#adopt(assignments, me);

    const share = shareOf(
      me,
      members.map(({ member }) => member),
      assignments.length,
    );
    // By number and not by who was busy last: half of the partitions may have nothing, those for bulk (partition.ts), and each member gets some
    // of both.
    const staying = [...this.#terms.values()].filter(({ ending }) => !ending.signal.aborted).sort((a, b) => a.partition - b.partition);
    for (const term of staying.slice(share)) term.ending.abort();
    await this.#giveBackEnded();

    const wanted = share - staying.length;
    if (wanted <= 0 || this.#draining.signal.aborted) return;
    const alive = new Set(members.map(({ member }) => member));
    const free = assignments.filter(({ owner }) => owner === null || !alive.has(owner)).slice(0, wanted);
    if (free.length === 0) return;
    for (const taken of await this.#store.take(me, free)) this.#begin(taken);
    this.#telemetry.partitions(this.partitions);
  }

  /** What the rows say wins: partitions taken by a statement whose answer was lost are ours, others may have been lost. */
  #adopt(assignments: Assignment[], me: string): void {
    for (const { partition, owner, position } of assignments) {
      const term = this.#terms.get(partition);
      if (term !== undefined && owner !== me) this.#lose(term);
      if (term === undefined && owner === me) this.#begin({ partition, position });
    }
  }

  #begin({ partition, position }: PartitionPosition): void {
    const ending = new AbortController();
    if (this.#draining.signal.aborted) ending.abort();
    this.#terms.set(partition, {
      partition,
      read: position,
      handled: position,
      committed: position,
      queue: [],
      replay: false,
      hungry: true,
      news: 0,
      ending,
    });
    this.#readSoon.set();
  }

  /** A running batch goes on to its end, but what it has done isn't committed any more. */
  #lose(term: Term): void {
    if (this.#terms.get(term.partition) === term) this.#terms.delete(term.partition);
    term.ending.abort();
    term.queue = [];
  }

  async #giveBackEnded(): Promise<void> {
    if (this.#draining.signal.aborted || this.#member === undefined) return;
    const ended = [...this.#terms.values()].filter(({ ending, partition }) => ending.signal.aborted && !this.#busy.has(partition));
    if (ended.length === 0) return;
    await this.#store.giveBack(
      this.#member,
      ended.map(({ partition, handled }) => ({ partition, position: handled })),
    );
    for (const term of ended) this.#lose(term);
    this.#telemetry.partitions(this.partitions);
  }

  async #lookForReplays(): Promise<void> {
    if (this.#terms.size === 0) return;
    for (const partition of await this.#parked.partitionsToReplay()) {
      const term = this.#terms.get(partition);
      if (term !== undefined) term.replay = true;
    }
    this.#dispatch();
  }

  #mayGoOn(term: Term): boolean {
    return !term.ending.signal.aborted && performance.now() < this.#leaseUntilMs;
  }

  // Reading

  async #keepReading(): Promise<void> {
    const { signal } = this.#draining;
    using _here = listenHere(schemaOf(this.#topic), (news) => this.#hear(news));
    using _there = this.#log.listen(newsChannel(this.#topic), (payload) => this.#hear(payload === undefined ? {} : decodeNews(payload)));
    for (let failures = 0; !signal.aborted; ) {
      this.#readSoon.clear();
      if (performance.now() >= this.#pollAtMs) this.#hear({});
      const hungry = [...this.#terms.values()].filter((term) => term.hungry && term.queue.length === 0 && this.#mayGoOn(term));
      if (hungry.length === 0) {
        await this.#readSoon.wait(Math.max(1, this.#pollAtMs - performance.now()), signal);
        continue;
      }
      const restMs = this.#pace.restMs();
      if (restMs > 0) {
        await delay(restMs, undefined, { signal }).catch(() => {});
        continue;
      }
      try {
        await this.#read(hungry);
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        this.#telemetry.interrupted(error);
        await backOff(failures++, signal);
      }
    }
  }

  #hear(news: News): void {
    const anything = Object.keys(news).length === 0;
    if (anything) this.#pollAtMs = performance.now() + POLL_MS;
    const heads = news[this.#topic.name] ?? {};
    for (const term of this.#terms.values()) {
      const head = heads[String(term.partition)];
      if (!anything && (head === undefined || BigInt(head) <= term.read)) continue;
      term.hungry = true;
      term.news++;
    }
    this.#readSoon.set();
  }

  async #read(hungry: Term[]): Promise<void> {
    const { maxBatch } = this.#options;
    this.#pace.begin();
    const newsBefore = hungry.map(({ news }) => news);
    const records = await this.#store.fetch(
      hungry.map(({ partition, read }) => ({ partition, position: read })),
      maxBatch,
    );
    this.#lastFetchMs = performance.now();
    this.#pace.took(records.length);
    const byPartition = Map.groupBy(records, ({ partition }) => partition);
    const full = [...byPartition.values()].some((found) => found.length === maxBatch);
    if (full) this.#pace.forget();
    for (const [index, term] of hungry.entries()) {
      const found = byPartition.get(term.partition) ?? [];
      const last = found.at(-1);
      if (last === undefined) {
        if (term.news === newsBefore[index]) term.hungry = false;
        continue;
      }
      term.read = last.position;
      // Lost meanwhile: whoever has it now reads them again.
      if (this.#terms.get(term.partition) === term) term.queue.push(...found);
    }
    this.#dispatch();
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
    const batch = term.queue.splice(0, this.#options.maxBatch);
    this.#readSoon.set();
    let done = 0;
    try {
      done = await processBatch(batch, this.#processing(term));
    } catch (error) {
      this.#telemetry.interrupted(error);
      await backOff(5, term.ending.signal);
    }
    const last = batch[done - 1];
    if (last !== undefined) term.handled = last.position;
    term.queue.unshift(...batch.slice(done));
    this.#release(term);
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
      if (term.ending.signal.aborted) this.#membersChanged.set();
      else this.#commitSoon();
    }
    if (this.#busy.size === 0) this.#idle?.();
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
      park: (parking) => this.#parked.park(parking),
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
      const terms = [...this.#terms.values()].filter(({ handled, committed }) => handled > committed);
      const member = this.#member;
      if (terms.length === 0 || member === undefined) return;
      const positions = terms.map(({ partition, handled }) => ({ partition, position: handled }));
      try {
        const committed = await this.#store.commit(member, positions);
        for (const [index, term] of terms.entries()) {
          if (committed.includes(term.partition)) term.committed = positions[index]!.position;
          else if (member === this.#member) this.#lose(term);
        }
        failures = 0;
        await delay(COMMIT_EVERY_MS, undefined, { signal }).catch(() => {});
      } catch (error) {
        this.#telemetry.interrupted(error);
        await backOff(failures++, signal);
      }
    }
  }
}

/** How many of the partitions a member has: the first members get the rest of the division. */
export function shareOf(member: string, members: string[], partitions: number): number {
  const rank = members.indexOf(member);
  if (rank < 0) return 0;
  return Math.floor(partitions / members.length) + (rank < partitions % members.length ? 1 : 0);
}

interface SignalOnce {
  set(): void;
  clear(): void;
  /** Until it is set, the time is over or the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

function signalOnce(): SignalOnce {
  let isSet = false;
  let wake = (): void => {};
  return {
    set() {
      isSet = true;
      wake();
    },
    clear() {
      isSet = false;
    },
    async wait(ms, signal) {
      if (isSet || signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = setTimeout(resolve, ms);
      signal.addEventListener('abort', wake);
      await promise;
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      wake = () => {};
    },
  };
}
