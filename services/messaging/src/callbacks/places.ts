// How many attempts may be under way at one time, so that an endpoint that is slow, or hangs, takes nothing from the others: each has its
// own places, one that does not answer is left with a single one until it does, and those that don't answer share one half of all.

/** Of one endpoint at this process, while it answers. */
const ofEachMost = 10;
/** Of endpoints that are not well and have nothing under way, beyond as many as there are places. */
const rememberedMost = 1_000;

interface Lane {
  underWay: number;
  /** At most so many, now. */
  limit: number;
}

export interface Free {
  lane: string;
  places: number;
}

export class Places {
  readonly #most: number;
  /** Those that were used last stand last. */
  readonly #lanes = new Map<string, Lane>();
  #underWay = 0;
  /** Of endpoints that did not answer the last time. */
  #suspect = 0;

  constructor(most = 500) {
    this.#most = most;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Places for anybody. */
  get free(): number {
    return this.#most - this.#underWay;
  }

  /** What a lane gets that isn't listed by `known`. */
  readonly ofUnknown = ofEachMost;

  /** Lanes that have fewer places than others, or none. */
  known(): Free[] {
    const suspectsFree = Math.floor(this.#most / 2) - this.#suspect;
    return [...this.#lanes].map(([lane, { underWay, limit }]) => ({
      lane,
      places: Math.max(0, limit === 1 && suspectsFree <= 0 ? 0 : limit - underWay),
    }));
  }

  take(lane: string): void {
    const state = this.#of(lane);
    state.underWay++;
    this.#underWay++;
    if (state.limit === 1) this.#suspect++;
  }

  /** `answered`: with whatever; false for an attempt that ran into its end of time, or got no connection. */
  release(lane: string, answered: boolean): void {
    const state = this.#of(lane);
    const wasSuspect = state.limit === 1;
    state.underWay--;
    this.#underWay--;
    if (wasSuspect) this.#suspect--;
    state.limit = answered ? Math.min(ofEachMost, state.limit * 2) : 1;
    const isSuspect = state.limit === 1;
    if (isSuspect !== wasSuspect) this.#suspect += isSuspect ? state.underWay : -state.underWay;
    if (state.underWay === 0 && state.limit === ofEachMost) this.#lanes.delete(lane);
    else if (this.#lanes.size > this.#most + rememberedMost) this.#forgetOne();
  }

  /** Endpoints are given up, and nobody says so here. One that is forgotten and still fails is known again after its next attempt. */
  #forgetOne(): void {
    for (const [lane, { underWay }] of this.#lanes) {
      if (underWay > 0) continue;
      this.#lanes.delete(lane);
      return;
    }
  }

  #of(lane: string): Lane {
    let state = this.#lanes.get(lane);
    if (state === undefined) state = { underWay: 0, limit: ofEachMost };
    else this.#lanes.delete(lane);
    this.#lanes.set(lane, state);
    return state;
  }
}
