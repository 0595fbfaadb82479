// What this process holds: rows claimed and not yet recorded or given back. The memory against which the database's own list is checked.
import { setTimeout as delay } from 'node:timers/promises';
import type { DueRow, Held } from './store/due.ts';

export interface HoldingParts {
  giveBack(held: readonly Held[]): Promise<void>;
  givenBack(): void;
  onFailure(error: unknown): void;
}

const retryMs = 500;

export class Holding {
  readonly #parts: HoldingParts;
  readonly #rows = new Map<string, Held & Pick<DueRow, 'tenantId' | 'destination'>>();
  // How many of them, by tenant and by destination and tenant.
  readonly #counts = new Map<string, number>();
  // Keys of those that may not go out any more.
  readonly #withdrawn = new Set<string>();
  readonly #returning = new Set<Promise<void>>();
  #stopped = false;

  constructor(parts: HoldingParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#rows.size;
  }

  add(rows: readonly DueRow[]): void {
    for (const row of rows) {
      const before = this.#rows.get(keyOf(row));
      if (before !== undefined) this.#count(before, -1);
      this.#rows.set(keyOf(row), row);
      this.#withdrawn.delete(keyOf(row));
      this.#count(row, 1);
    }
  }

  /** What is held for these tenants at this moment may not go out any more. */
  withdraw(tenantIds: ReadonlySet<string>): void {
    for (const [key, { tenantId }] of this.#rows) if (tenantIds.has(tenantId)) this.#withdrawn.add(key);
  }

  isWithdrawn(held: { messageId: string; recipientNumber: number }): boolean {
    return this.#withdrawn.size > 0 && this.#withdrawn.has(keyOf(held));
  }

  /** Rows of a tenant. */
  of(tenantId: string): number {
    return this.#counts.get(tenantId) ?? 0;
  }

  /** Rows of a tenant that were claimed for a destination. */
  at(destination: string, tenantId: string): number {
    return this.#counts.get(`${destination}\n${tenantId}`) ?? 0;
  }

  /** Whether exactly this claim is held. */
  has(held: Held): boolean {
    const known = this.#rows.get(keyOf(held));
    return known !== undefined && known.claims === held.claims && known.incarnation === held.incarnation;
  }

  /** The row is on record and not ours any more. */
  done(held: Held): void {
    const known = this.#rows.get(keyOf(held));
    if (known === undefined || !this.has(held)) return;
    this.#rows.delete(keyOf(held));
    this.#withdrawn.delete(keyOf(held));
    this.#count(known, -1);
  }

  #count({ tenantId, destination }: Pick<DueRow, 'tenantId' | 'destination'>, change: 1 | -1): void {
    for (const key of [tenantId, `${destination}\n${tenantId}`]) {
      const count = (this.#counts.get(key) ?? 0) + change;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    }
  }

  /** Puts rows back whose attempt was not made. Tried until the database has heard it; nobody waits for that. */
  giveBack(rows: readonly Held[]): void {
    const returning = this.#return(rows).finally(() => this.#returning.delete(returning));
    this.#returning.add(returning);
  }

  /** Waits until everything given back is, at most so long. */
  async flush(timeoutMs: number): Promise<void> {
    await Promise.race([Promise.allSettled(this.#returning), delay(timeoutMs, undefined, { ref: false })]);
    this.#stopped = true;
  }

  async #return(rows: readonly Held[]): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#parts.giveBack(rows);
        for (const row of rows) this.done(row);
        this.#parts.givenBack();
        return;
      } catch (error) {
        this.#parts.onFailure(error);
        await delay(retryMs);
      }
    }
  }
}

function keyOf(held: { messageId: string; recipientNumber: number }): string {
  return `${held.messageId}/${held.recipientNumber}`;
}
