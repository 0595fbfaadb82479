// Unknown credentials, counted by the address they come from. A key can't be guessed, whatever the speed; this keeps those who try from
// costing everybody else. Whoever has had too many refused waits; a credential that is known to be good goes on working from the same
// address, because a whole company may be behind it.
import { holderOf } from '@maildoot/runtime/networks';
import { ApiError } from './errors.ts';

/** So many at once, and then so many a minute. */
const burst = 60;
const perMinute = 30;
const maxAddresses = 20_000;

interface Bucket {
  /** How many failures may still come. */
  left: number;
  atMs: number;
}

export class Guesses {
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @throws ApiError RATE_LIMITED */
  check(address: string): void {
    const bucket = this.#buckets.get(holderOf(address));
    if (bucket === undefined) return;
    const left = this.#left(bucket);
    if (left >= 1) return;
    const retryAfterMs = ((1 - left) * 60_000) / perMinute;
    throw new ApiError('RATE_LIMITED', 'Too many unknown credentials came from this address. Try again after Retry-After.', {
      retryAfterMs,
    });
  }

  failed(address: string): void {
    const holder = holderOf(address);
    const bucket = this.#buckets.get(holder);
    const left = bucket === undefined ? burst : this.#left(bucket);
    // The longest unseen goes first.
    this.#buckets.delete(holder);
    this.#buckets.set(holder, { left: Math.max(0, left - 1), atMs: this.#nowMs() });
    if (this.#buckets.size <= maxAddresses) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }

  #left({ left, atMs }: Bucket): number {
    return Math.min(burst, left + ((this.#nowMs() - atMs) * perMinute) / 60_000);
  }
}
