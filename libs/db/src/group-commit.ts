// One transaction for many requests. A COMMIT waits for the disk (and for the standby); while one is under way the requests that
// arrive gather, and the next one takes them together. An idle group commits at once, without waiting for more.
import { Pace } from '@maildoot/runtime/pace';
import { CommitOutcomeUnknown, isConnectionError } from './errors.ts';

export interface GroupCommitOptions<Item, Result> {
  /** Default 200. */
  maxItems?: number;
  /** By `sizeOf`; an item that is larger goes alone. Default 1 MiB. */
  maxBytes?: number;
  /** How many groups may commit at the same time; each takes a connection. Default 2. */
  concurrency?: number;
  /**
   * A group begins beside another one when it is full, or when the other has taken so long; until then what arrives gathers, because few
   * large groups cost less than many small ones. Default 0: at once.
   */
  patienceMs?: number;
  /**
   * A group that isn't full begins so long after the one before it at the earliest, longer when much arrives (see Pace), for items whose
   * sender doesn't wait. The first one after a rest begins at once. Default 0: at once.
   */
  paceMs?: number;
  sizeOf(item: Item): number;
  /**
   * Writes the items in one transaction and answers for each, in their order. An Error in the answer concerns that item alone and
   * was decided before COMMIT; throwing means that nothing was written, or CommitOutcomeUnknown.
   */
  commit(items: Item[]): Promise<(Result | Error)[]>;
}

interface Waiting<Item, Result> {
  item: Item;
  sizeBytes: number;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

export class GroupCommit<Item, Result> implements AsyncDisposable {
  readonly #maxItems: number;
  readonly #maxBytes: number;
  readonly #concurrency: number;
  readonly #patienceMs: number;
  readonly #paceMs: number;
  readonly #sizeOf: (item: Item) => number;
  readonly #commit: (items: Item[]) => Promise<(Result | Error)[]>;
  #queue: Waiting<Item, Result>[] = [];
  #queuedBytes = 0;
  #running = 0;
  readonly #pace = new Pace();
  #timer: NodeJS.Timeout | undefined;
  #woken = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: GroupCommitOptions<Item, Result>) {
    this.#maxItems = options.maxItems ?? 200;
    this.#maxBytes = options.maxBytes ?? 1 << 20;
    this.#concurrency = options.concurrency ?? 2;
    this.#patienceMs = options.patienceMs ?? 0;
    this.#paceMs = options.paceMs ?? 0;
    this.#sizeOf = (item) => options.sizeOf(item);
    this.#commit = (items) => options.commit(items);
  }

  /**
   * The item's result once it is durable. Rejects with the item's own error; with the connection error when the database could not
   * be reached (nothing was written); with CommitOutcomeUnknown when only a look at the database can tell.
   */
  submit(item: Item): Promise<Result> {
    if (this.#closed) return Promise.reject(new Error('this group is closed: the service is stopping'));
    return new Promise((resolve, reject) => {
      const sizeBytes = this.#sizeOf(item);
      this.#queue.push({ item, sizeBytes, resolve, reject });
      this.#queuedBytes += sizeBytes;
      this.#wake();
    });
  }

  /** Somebody waits for what is queued: the next group begins at `paceMs`, however much arrives. */
  hurry(): void {
    this.#pace.took(0);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wake();
  }

  /** Takes no more items and waits for those it has. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#wake();
    if (this.#running > 0 || this.#queue.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** At the end of this turn of the event loop rather than at once, so that the requests that one turn brings go together. */
  #wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      while (this.#running < this.#concurrency && this.#queue.length > 0 && this.#isTime()) void this.#run(this.#take());
    });
  }

  /** Asks itself again when it isn't. */
  #isTime(): boolean {
    if (this.#closed || this.#queue.length >= this.#maxItems || this.#queuedBytes >= this.#maxBytes) return true;
    const paceMs = this.#paceMs === 0 ? 0 : Math.max(this.#paceMs, this.#pace.everyMs);
    const waitMs = this.#pace.restMs(this.#running === 0 ? paceMs : Math.max(paceMs, this.#patienceMs));
    if (waitMs <= 0) return true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#wake();
    }, waitMs);
    return false;
  }

  /** The oldest ones that fit, at least one. Nothing overtakes: a large item is not put off for ever. */
  #take(): Waiting<Item, Result>[] {
    let count = 0;
    let bytes = 0;
    for (const { sizeBytes } of this.#queue) {
      if (count > 0 && (count === this.#maxItems || bytes + sizeBytes > this.#maxBytes)) break;
      count++;
      bytes += sizeBytes;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #run(group: Waiting<Item, Result>[]): Promise<void> {
    this.#running++;
    this.#pace.begin();
    this.#pace.took(group.length);
    try {
      const failure = await this.#attempt(group);
      if (failure === undefined) return;
      // Alone already, so it is its own; or the database is away and asking 200 times more would only keep everybody waiting; or the
      // group may have been written and a second try would write it twice.
      if (group.length === 1 || isConnectionError(failure.error) || failure.error instanceof CommitOutcomeUnknown) {
        for (const { reject } of group) reject(failure.error);
        return;
      }
      // One of them spoiled it for all (a NUL byte, a duplicate, a deadlock): each alone, so that only that one fails.
      for (const [index, waiting] of group.entries()) {
        const alone = await this.#attempt([waiting]);
        if (alone === undefined) continue;
        waiting.reject(alone.error);
        if (!isConnectionError(alone.error)) continue;
        // The database went away in between. This one's outcome may be unknown; the rest was rolled back and never tried again.
        const rest = alone.error instanceof CommitOutcomeUnknown ? alone.error.cause : alone.error;
        for (const { reject } of group.slice(index + 1)) reject(rest);
        return;
      }
    } finally {
      this.#running--;
      this.#wake();
      if (this.#running === 0 && this.#queue.length === 0) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        for (const idle of this.#idle.splice(0)) idle();
      }
    }
  }

  async #attempt(group: Waiting<Item, Result>[]): Promise<{ error: unknown } | undefined> {
    let results: (Result | Error)[];
    try {
      results = await this.#commit(group.map(({ item }) => item));
    } catch (error) {
      return { error };
    }
    for (const [index, { resolve, reject }] of group.entries()) {
      const result = results[index];
      if (index >= results.length) reject(new Error(`commit answered for ${results.length} of ${group.length} items`));
      else if (result instanceof Error) reject(result);
      else resolve(result as Result);
    }
    return undefined;
  }
}
