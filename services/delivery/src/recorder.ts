// Recording what became of attempts, apart from making them: a session hands its outcome over and goes on, the outcomes of many sessions
// share a transaction, and while the database is away they are kept and tried again. A failure to record is never a failure to send.
import { setTimeout as delay } from 'node:timers/promises';
import { GroupCommit } from '@maildoot/db/group-commit';
import { PACE_MS } from '@maildoot/runtime/pace';
import type { Recorded } from './store/attempt.ts';

/** How many recipients may have been handed over without their outcome being on record. What a SIGKILL can turn into duplicates. */
export const maxUnrecorded = 200;

export interface RecorderParts<End> {
  /** Writes many in one transaction; all or nothing. */
  record(ends: readonly End[]): Promise<Recorded[]>;
  sizeOf(end: End): number;
  onRecorded(end: End, recorded: Recorded): void;
  onFailure(error: unknown, waiting: number): void;
}

const retryMs = 500;

export class Recorder<End> implements AsyncDisposable {
  readonly #parts: RecorderParts<End>;
  readonly #group: GroupCommit<End, Recorded>;
  #reserved = 0;
  #waiting: { count: number; resolve(got: boolean): void }[] = [];
  #pending = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(parts: RecorderParts<End>) {
    this.#parts = parts;
    this.#group = new GroupCommit({
      maxItems: 200,
      concurrency: 2,
      // A session waits for records only when there is no room for more, and then it hurries them.
      paceMs: PACE_MS,
      sizeOf: (end) => parts.sizeOf(end),
      commit: async (ends) => await parts.record(ends),
    });
  }

  /** Outcomes that are known and not on record, with those that may become known any moment. */
  get unrecorded(): number {
    return this.#reserved;
  }

  /**
   * Room for the outcomes of so many recipients, asked for before a message is handed over; false when there was none in time.
   * More than the limit at once gets its turn when nothing else is open.
   */
  async reserve(count: number, timeoutMs: number): Promise<boolean> {
    if (this.#waiting.length === 0 && this.#fits(count)) {
      this.#reserved += count;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting = { count, resolve };
    this.#waiting.push(waiting);
    this.#group.hurry();
    const timer = setTimeout(() => {
      this.#waiting = this.#waiting.filter((one) => one !== waiting);
      resolve(false);
    }, timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives room back that no outcome needs. */
  release(count: number): void {
    this.#reserved -= count;
    while (this.#waiting[0] !== undefined && this.#fits(this.#waiting[0].count)) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#reserved += next.count;
      next.resolve(true);
    }
    if (this.#waiting.length > 0) this.#group.hurry();
  }

  /** Takes an outcome. `reserved`: room was reserved for it and is given back once it is on record. */
  submit(end: End, reserved: boolean): void {
    const recording = this.#keepTrying(end)
      .then((recorded) => {
        if (recorded !== undefined) this.#parts.onRecorded(end, recorded);
      })
      .finally(() => {
        this.#pending.delete(recording);
        if (reserved) this.release(1);
      });
    this.#pending.add(recording);
  }

  /** Waits until everything submitted so far is on record, at most so long. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#pending.size > 0 && performance.now() < deadline) {
      await Promise.race([
        Promise.allSettled([...this.#pending]),
        delay(Math.max(1, deadline - performance.now()), undefined, { ref: false }),
      ]);
    }
    return this.#pending.size === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#group[Symbol.asyncDispose]();
    await Promise.allSettled([...this.#pending]);
  }

  #fits(count: number): boolean {
    return this.#reserved === 0 || this.#reserved + count <= maxUnrecorded;
  }

  async #keepTrying(end: End): Promise<Recorded | undefined> {
    for (;;) {
      try {
        return await this.#group.submit(end);
      } catch (error) {
        if (this.#stop.signal.aborted) return undefined;
        this.#parts.onFailure(error, this.#pending.size);
        // Also where COMMIT's answer was lost: recording the same end again is seen and changes nothing.
        await delay(retryMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        if (this.#stop.signal.aborted) return undefined;
      }
    }
  }
}
