// Whether this process may send. Rows belong to an incarnation, which is alive for ten seconds after each heartbeat by PostgreSQL's clock;
// then others take its rows. This process must have stopped before that, whatever its own clock or the database do, so it counts eight
// seconds by a monotonic clock from *sending* the last heartbeat that was answered. The answer's time says nothing: it may have been on
// its way for long.
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@maildoot/runtime/logger';

/** Where heartbeats go; store/incarnation.ts in the service. */
export interface Heartbeats {
  register(id: string): Promise<void>;
  /** False: declared dead by others. */
  beat(id: string): Promise<boolean>;
}

export interface IncarnationParts {
  heartbeats: Heartbeats;
  logger: Logger;
  newUuid(): string;
  monotonicMs?: () => number;
  /** Recipients handed over whose outcome is not on record. */
  underWay(): number;
  /** The id that was declared dead; whatever it held is somebody else's. */
  onDead?(id: string): void;
}

export const heartbeatMs = 2_000;
export const validMs = 8_000;
/**
 * How long one that was declared dead waits for the ends of what it had handed over, before it starts anew. Most end in a second; but a host
 * may take ten minutes to answer, and all other mail must not wait for it. Its recipients were marked as possible duplicates at the release.
 */
export const patienceMs = 30_000;

export class Incarnation {
  readonly #parts: IncarnationParts;
  readonly #monotonicMs: () => number;
  #id: string | undefined;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #deadSinceMs = Number.NEGATIVE_INFINITY;

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

  /** One heartbeat: registers where there is nothing to keep alive and nothing to wait for. Throws what the database throws. */
  async beat(): Promise<void> {
    const sentAtMs = this.#monotonicMs();
    if (this.#id !== undefined) {
      if (await this.#parts.heartbeats.beat(this.#id)) {
        this.#validUntilMs = sentAtMs + validMs;
        return;
      }
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
  }

  /** Beats until it is stopped; failures are logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    let failing = false;
    while (!signal.aborted) {
      await delay(failing || this.#id === undefined ? heartbeatMs / 4 : heartbeatMs, undefined, { signal }).catch(() => undefined);
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
}
