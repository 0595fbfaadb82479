// Which transaction is made next. A lane per destination, each with so many sessions at most, all of them together with so many; lanes take
// turns, so that a destination with a long queue does not keep another one waiting. How many rows a lane may hold in advance follows what
// it got done lately: a fast one needs a stock between two claims, a slow one would only sit on rows that can't be cancelled any more.

/** A transaction to be made: how many rows it holds and how it is made. */
export interface Job {
  rows: number;
  /** Never rejects. */
  run(): Promise<void>;
  /** Instead of run, where this process may have no session there any more. */
  giveBack(): void;
}

interface Lane {
  queue: Job[];
  active: number;
  /** Rows that this lane answers for: waiting for content, queued, being sent. */
  rows: number;
  doneNow: number;
  doneBefore: number;
}

export interface LanesOptions {
  maxSessions: number;
  /** How many of them a destination may have; changes with the other processes. */
  sessionsFor(destination: string): number;
  /** Called when a lane has room again. */
  onRoom(): void;
}

const rateWindowMs = 250;
const stockFactor = 5;
const maxRemembered = 1_000;

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #rates: NodeJS.Timeout;
  // Destinations that were asked about and have no session here. Others have all of them.
  readonly #others = new Set<string>();
  #active = 0;
  #stopped = false;
  // What is done with each job whose bytes aren't there yet. At a stop nobody waits for bytes that will not be sent.
  readonly #awaited = new Set<() => void>();
  #idle: (() => void)[] = [];

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#rates = setInterval(() => this.#turnWindow(), rateWindowMs);
    this.#rates.unref();
  }

  /** How many more rows a destination may be given. */
  room(destination: string): number {
    if (this.#stopped) return 0;
    const sessions = this.#options.sessionsFor(destination);
    if (sessions === 0) {
      if (this.#others.size >= maxRemembered) this.#others.clear();
      this.#others.add(destination);
      return 0;
    }
    const lane = this.#lanes.get(destination);
    const recent = lane === undefined ? 0 : Math.max(lane.doneNow, lane.doneBefore);
    const stock = Math.min(sessions * stockFactor, Math.max(sessions, 2 * recent));
    const room = stock - (lane?.rows ?? 0);
    // Rows are taken by the dozen: a claim for every row that got done would cost the database more than the mail.
    return room >= Math.ceil(stock > sessions ? stock / 2 : stock / 4) ? room : 0;
  }

  /** Destinations that can't be given anything. */
  full(): string[] {
    const full = [...this.#lanes.keys()].filter((destination) => this.room(destination) === 0 && !this.#others.has(destination));
    return [...full, ...this.#others];
  }

  /** Destinations may have more or fewer sessions than before. */
  limitsChanged(): void {
    this.#others.clear();
    this.#pump();
    this.#options.onRoom();
  }

  /** Rows in all lanes. */
  get rows(): number {
    let rows = 0;
    for (const lane of this.#lanes.values()) rows += lane.rows;
    return rows;
  }

  /** Gives a lane a job, to be made once `ready` has settled. */
  add(destination: string, job: Job, ready: Promise<unknown>): void {
    const lane = this.#lane(destination);
    lane.rows += job.rows;
    // Not by Promise.race with a promise for the stop: each race would stay attached to that, and keep the message's bytes until then.
    const queue = (): void => {
      if (!this.#awaited.delete(queue)) return;
      lane.queue.push(job);
      this.#pump();
    };
    this.#awaited.add(queue);
    ready.then(queue, queue);
  }

  /** Starts nothing more; jobs that wait are run at once with the knowledge that nothing may be started (they give their rows back). */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const queue of this.#awaited) queue();
    clearInterval(this.#rates);
    this.#pump();
    if (this.#lanes.size > 0 && this.rows > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #lane(destination: string): Lane {
    let lane = this.#lanes.get(destination);
    if (lane === undefined) {
      lane = { queue: [], active: 0, rows: 0, doneNow: 0, doneBefore: 0 };
      this.#lanes.set(destination, lane);
    }
    return lane;
  }

  #pump(): void {
    // One job per lane and turn. A lane that was served goes to the end of the line.
    let started = true;
    while (started) {
      started = false;
      for (const [destination, lane] of [...this.#lanes]) {
        if (!this.#stopped && this.#active >= this.#options.maxSessions) return;
        if (lane.queue.length === 0) continue;
        const sessions = this.#stopped ? Number.POSITIVE_INFINITY : this.#options.sessionsFor(destination);
        if (sessions === 0) this.#giveBack(lane);
        if (lane.active >= sessions) continue;
        const job = lane.queue.shift();
        if (job === undefined) continue;
        this.#lanes.delete(destination);
        this.#lanes.set(destination, lane);
        started = true;
        void this.#run(lane, job);
      }
    }
  }

  #giveBack(lane: Lane): void {
    for (const job of lane.queue.splice(0)) {
      lane.rows -= job.rows;
      job.giveBack();
    }
  }

  async #run(lane: Lane, job: Job): Promise<void> {
    this.#active++;
    lane.active++;
    try {
      await job.run();
    } finally {
      this.#active--;
      lane.active--;
      lane.rows -= job.rows;
      lane.doneNow += job.rows;
      this.#pump();
      this.#options.onRoom();
      if (this.#stopped && this.rows === 0) for (const idle of this.#idle.splice(0)) idle();
    }
  }

  #turnWindow(): void {
    for (const [destination, lane] of this.#lanes) {
      lane.doneBefore = lane.doneNow;
      lane.doneNow = 0;
      if (lane.rows === 0 && lane.doneBefore === 0) this.#lanes.delete(destination);
    }
  }
}
