/** The ids of the last records of a partition: a publisher that crashed, or lost its answer, publishes its last ones again. */
export class RecentIds {
  readonly #limit: number;
  #newer = new Set<string>();
  #older = new Set<string>();

  /** Remembers at least the last `limit`, and at most twice as many. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  has(id: string): boolean {
    return this.#newer.has(id) || this.#older.has(id);
  }

  add(id: string): void {
    this.#newer.add(id);
    if (this.#newer.size < this.#limit) return;
    this.#older = this.#newer;
    this.#newer = new Set();
  }
}
