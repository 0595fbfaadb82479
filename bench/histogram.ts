/**
 * Latencies in the manner of HDR histograms: buckets whose width grows with the value, so that every value from a microsecond to an
 * hour is kept within 0.8 % in a few kilobytes, and histograms of several processes can be added.
 */
const subBits = 7;
const half = 1 << subBits;

export class Histogram {
  readonly #counts: number[];
  #count = 0;
  #maxUs = 0;

  constructor(counts: number[] = [], maxUs = 0) {
    this.#counts = [...counts];
    for (const count of counts) this.#count += count ?? 0;
    this.#maxUs = maxUs;
  }

  record(ms: number): void {
    const us = Math.max(0, Math.round(ms * 1000));
    const index = bucketOf(us);
    while (this.#counts.length <= index) this.#counts.push(0);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  add(other: Histogram): void {
    const { counts, maxUs } = other.toJSON();
    for (const [index, count] of counts.entries()) {
      while (this.#counts.length <= index) this.#counts.push(0);
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
      this.#count += count;
    }
    this.#maxUs = Math.max(this.#maxUs, maxUs);
  }

  get count(): number {
    return this.#count;
  }

  get maxMs(): number {
    return this.#maxUs / 1000;
  }

  /** The highest value of the bucket that holds the percentile, in ms; never below the true one. */
  percentileMs(percent: number): number {
    if (this.#count === 0) return Number.NaN;
    let left = Math.max(1, Math.ceil((percent / 100) * this.#count));
    for (const [index, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(highestOf(index), this.#maxUs) / 1000;
    }
    return this.maxMs;
  }

  toJSON(): { counts: number[]; maxUs: number } {
    return { counts: this.#counts, maxUs: this.#maxUs };
  }
}

/** Up to 255 each value has a bucket; above, each doubling is cut into 128. */
function bucketOf(us: number): number {
  if (us < 2 * half) return us;
  const shift = Math.floor(Math.log2(us)) - subBits;
  return (shift + 1) * half + (Math.floor(us / 2 ** shift) - half);
}

function highestOf(index: number): number {
  if (index < 2 * half) return index;
  const shift = Math.floor(index / half) - 1;
  return ((index % half) + half + 1) * 2 ** shift - 1;
}

export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

export function percentilesOf(histogram: Histogram): Percentiles {
  return {
    p50: histogram.percentileMs(50),
    p90: histogram.percentileMs(90),
    p99: histogram.percentileMs(99),
    p999: histogram.percentileMs(99.9),
    max: histogram.maxMs,
  };
}
