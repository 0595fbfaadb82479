// Which transaction is made next. A lane per destination, each with so many sessions at most, all of them together with so many. Tenants take
// turns: in a lane the one with the fewest sessions there is next, among the lanes the one with the fewest in all, and then lanes take turns,
// so that neither a destination nor a tenant with a long queue keeps another one waiting. How many rows a lane may hold in advance follows
// what it got done lately: a fast one needs a stock between two claims, a slow one would only sit on rows that can't be cancelled any more.

/** A transaction to be made: how many rows it holds and how it is made. */
export interface Job {
  tenantId: string;
  rows: number;
  /** Never rejects. */
  run(): Promise<void>;
  /** Instead of run, where this process may have no session there any more. */
  giveBack(): void;
}

interface Lane {
  /** By tenant; none is empty. */
  queues: Map<string, Job[]>;
  active: number;
  activeOf: Counts;
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

// A tenant has at most so many times the sessions that are left free. Alone it gets 96 of a hundred, and all where there are fewer than 25; who
// comes finds one.
const greed = 24;

/** How many of each; those with none are not kept. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, change: 1 | -1): void {
    const count = this.of(key) + change;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #rates: NodeJS.Timeout;
  // Destinations that were asked about and have no session here. Others have all of them.
  readonly #others = new Set<string>();
  #active = 0;
  readonly #activeOf = new Counts();
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
    const arrive = (): void => {
      if (!this.#awaited.delete(arrive)) return;
      const queue = lane.queues.get(job.tenantId);
      if (queue === undefined) lane.queues.set(job.tenantId, [job]);
      else queue.push(job);
      this.#pump();
    };
    this.#awaited.add(arrive);
    ready.then(arrive, arrive);
  }

  /** Starts nothing more; jobs that wait are run at once with the knowledge that nothing may be started (they give their rows back). */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const arrive of this.#awaited) arrive();
    clearInterval(this.#rates);
    this.#pump();
    if (this.#lanes.size > 0 && this.rows > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #lane(destination: string): Lane {
    let lane = this.#lanes.get(destination);
    if (lane === undefined) {
      lane = { queues: new Map(), active: 0, activeOf: new Counts(), rows: 0, doneNow: 0, doneBefore: 0 };
      this.#lanes.set(destination, lane);
    }
    return lane;
  }

  #pump(): void {
    for (;;) {
      const next = this.#next();
      if (next === undefined) return;
      const { destination, lane, tenantId } = next;
      const job = lane.queues.get(tenantId)?.shift();
      if (job === undefined) return;
      // Who was served goes to the end of the line.
      const rest = lane.queues.get(tenantId) ?? [];
      lane.queues.delete(tenantId);
      if (rest.length > 0) lane.queues.set(tenantId, rest);
      this.#lanes.delete(destination);
      this.#lanes.set(destination, lane);
      void this.#run(destination, lane, job);
    }
  }

  #next(): { destination: string; lane: Lane; tenantId: string } | undefined {
    const free = this.#options.maxSessions - this.#active;
    if (free <= 0 && !this.#stopped) return undefined;
    let next: { destination: string; lane: Lane; tenantId: string } | undefined;
    for (const [destination, lane] of this.#lanes) {
      if (lane.queues.size === 0) continue;
      const sessions = this.#stopped ? Number.POSITIVE_INFINITY : this.#options.sessionsFor(destination);
      if (sessions === 0) this.#giveBack(lane);
      if (lane.active >= sessions) continue;
      const tenantId = this.#nextIn(lane, free);
      if (tenantId === undefined) continue;
      if (next === undefined || this.#activeOf.of(tenantId) < this.#activeOf.of(next.tenantId)) next = { destination, lane, tenantId };
    }
    return next;
  }

  #nextIn(lane: Lane, free: number): string | undefined {
    let next: string | undefined;
    for (const tenantId of lane.queues.keys()) {
      if (this.#activeOf.of(tenantId) >= greed * free && !this.#stopped) continue;
      if (next === undefined || this.#fewer(lane, tenantId, next)) next = tenantId;
    }
    return next;
  }

  /** Fewer sessions in the lane, or as many there and fewer in all. */
  #fewer(lane: Lane, one: string, other: string): boolean {
    const here = lane.activeOf.of(one) - lane.activeOf.of(other);
    return here < 0 || (here === 0 && this.#activeOf.of(one) < this.#activeOf.of(other));
  }

  #giveBack(lane: Lane): void {
    const jobs = [...lane.queues.values()].flat();
    lane.queues.clear();
    for (const job of jobs) {
      lane.rows -= job.rows;
      job.giveBack();
    }
  }

  async #run(destination: string, lane: Lane, job: Job): Promise<void> {
    this.#count(lane, job, 1);
    try {
      await job.run();
    } finally {
      this.#count(lane, job, -1);
      lane.rows -= job.rows;
      lane.doneNow += job.rows;
      this.#pump();
      // A claim that finds every destination full is for nothing, and costs what the tenants that wait cost.
      if (this.room(destination) > 0) this.#options.onRoom();
      if (this.#stopped && this.rows === 0) for (const idle of this.#idle.splice(0)) idle();
    }
  }

  #count(lane: Lane, { tenantId }: Job, change: 1 | -1): void {
    this.#active += change;
    lane.active += change;
    this.#activeOf.add(tenantId, change);
    lane.activeOf.add(tenantId, change);
  }

  #turnWindow(): void {
    for (const [destination, lane] of this.#lanes) {
      lane.doneBefore = lane.doneNow;
      lane.doneNow = 0;
      if (lane.rows === 0 && lane.doneBefore === 0) this.#lanes.delete(destination);
    }
  }
}
