// Whether this process may send. Rows belong to an incarnation, which is alive for ten seconds after each heartbeat by PostgreSQL's clock;
// then others take its rows. This process must have stopped before that, whatever its own clock or the database do, so it counts eight
// seconds by a monotonic clock from *sending* the last heartbeat that was answered. The answer's time says nothing: it may have been on
// its way for long.
import type { Logger } from '@maildoot/runtime/logger';
import type { Peer, Said, Shares } from './shares.ts';

/** Where heartbeats go; store/incarnation.ts in the service. */
export interface Heartbeats {
  register(id: string): Promise<void>;
  /** Who else lives; undefined: declared dead by others. */
  beat(id: string, said: Said): Promise<Peer[] | undefined>;
}

export interface IncarnationParts {
  heartbeats: Heartbeats;
  shares: Shares;
  /** Sessions beyond this process's share, by destination. */
  over(): Record<string, number>;
  /** This process may have more or fewer sessions than before. */
  sharesChanged(): void;
  /** There is something for others to hear at their next heartbeat. */
  tellPeers(): void;
  logger: Logger;
  newUuid(): string;
  monotonicMs?: () => number;
  /** Recipients handed over whose outcome is not on record. */
  underWay(): number;
  /** The id that was declared dead; whatever it held is somebody else's. */
  onDead?(id: string): void;
}

const heartbeatMs = 2_000;
export const validMs = 8_000;
// While this process has more sessions than its share, others wait for it to say that it hasn't any more.
const overMs = 200;
/**
 * How long one that was declared dead waits for the ends of what it had handed over, before it starts anew. Most end in a second; but a host
 * may take ten minutes to answer, and all other mail must not wait for it. Its recipients were marked as possible duplicates at the release.
 */
export const patienceMs = 30_000;
/** How long this process must have been heard without a break before the silence of others says anything about them. */
const steadyMs = 10_000;
// Two heartbeats in a row that came late.
const breakMs = 5_000;

export class Incarnation {
  readonly #parts: IncarnationParts;
  readonly #monotonicMs: () => number;
  #id: string | undefined;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #beatenAtMs = Number.NEGATIVE_INFINITY;
  #steadySinceMs = Number.POSITIVE_INFINITY;
  #deadSinceMs = Number.NEGATIVE_INFINITY;
  // The id under which the shares were heard of last.
  #sharedAs: string | undefined;
  #saidOver = '{}';
  #hurried = false;
  #hurry: (() => void) | undefined;

  constructor(parts: IncarnationParts) {
    this.#parts = parts;
    this.#monotonicMs = parts.monotonicMs ?? (() => performance.now());
  }

  /** The id under which rows may be claimed; undefined while nothing may be started. */
  get current(): string | undefined {
    return this.mayStart(this.#id) ? this.#id : undefined;
  }

  /** The id registered last, valid or not. */
  get id(): string | undefined {
    return this.#id;
  }

  /** Whether work of this id may be started or handed over now. */
  mayStart(id: string | undefined): boolean {
    return id !== undefined && id === this.#id && this.#monotonicMs() < this.#validUntilMs;
  }

  /**
   * Whether others may be declared dead because they are silent. While the database is away nobody can be heard; when it is back everybody's
   * last heartbeat is old, and what was sent meanwhile waits to be recorded: taking it over then would send all of it twice.
   */
  get mayJudge(): boolean {
    const nowMs = this.#monotonicMs();
    return nowMs - this.#beatenAtMs < breakMs && nowMs - this.#steadySinceMs >= steadyMs;
  }

  /** Beats soon: something that a heartbeat says or asks has changed. */
  hurry(): void {
    this.#hurried = true;
    this.#hurry?.();
  }

  /** One heartbeat: registers where there is nothing to keep alive and nothing to wait for. Throws what the database throws. */
  async beat(): Promise<void> {
    if (this.#id !== undefined) {
      if (await this.#beaten(this.#id)) return;
      const dead = this.#id;
      this.#id = undefined;
      this.#parts.logger.warn({ incarnation: dead }, 'delivery: this incarnation was declared dead; starting a new one');
      this.#deadSinceMs = this.#monotonicMs();
      this.#parts.onDead?.(dead);
    }
    // Or this very process might send what it is still sending.
    if (this.#parts.underWay() > 0 && this.#monotonicMs() - this.#deadSinceMs < patienceMs) return;
    const id = this.#parts.newUuid();
    const registeredAtMs = this.#monotonicMs();
    await this.#parts.heartbeats.register(id);
    this.#id = id;
    this.#validUntilMs = registeredAtMs + validMs;
    // Who else is there. Before that it may have no session.
    await this.#beaten(id);
  }

  /** Beats until it is stopped; failures are logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    let failing = false;
    const stop = (): void => this.hurry();
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      await this.#pause(failing || this.#id === undefined ? heartbeatMs / 4 : this.#saidOver === '{}' ? heartbeatMs : overMs);
      if (signal.aborted) return;
      try {
        await this.beat();
        if (failing) this.#parts.logger.info({}, 'delivery: the heartbeat is back');
        failing = false;
      } catch (error) {
        if (!failing)
          this.#parts.logger.warn({ err: error }, 'delivery: the heartbeat failed; nothing new is started after eight seconds without');
        failing = true;
      }
    }
  }

  /** False: declared dead. */
  async #beaten(id: string): Promise<boolean> {
    const { heartbeats, shares, over, sharesChanged, tellPeers } = this.#parts;
    const sentAtMs = this.#monotonicMs();
    const said = { applied: [...shares.toSay], over: over() };
    const peers = await heartbeats.beat(id, said);
    if (peers === undefined) return false;
    if (sentAtMs - this.#beatenAtMs >= breakMs) this.#steadySinceMs = sentAtMs;
    this.#beatenAtMs = sentAtMs;
    const fresh = this.#sharedAs !== id || sentAtMs >= this.#validUntilMs;
    this.#sharedAs = id;
    this.#validUntilMs = sentAtMs + validMs;
    const changed = shares.heard(id, said.applied, peers, fresh);
    if (changed.sharesChanged) sharesChanged();
    const saidOver = JSON.stringify(said.over);
    if (changed.membersChanged || saidOver !== this.#saidOver) tellPeers();
    // What has changed is in force now and said with the next one.
    if (changed.membersChanged) this.hurry();
    this.#saidOver = saidOver;
    return true;
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#hurried) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, ms);
      this.#hurry = resolve;
      await promise;
      clearTimeout(timer);
      this.#hurry = undefined;
    }
    this.#hurried = false;
  }
}
