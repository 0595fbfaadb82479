// Who is sending in bulk: a tenant that has more recipients accepted at a time than delivery's queue takes in within a moment. What it sends
// beyond that is told in partitions of its own (libs/events partition.ts), so that another tenant's few messages don't stand behind its
// hundred thousand on their way into the queue. Nothing is refused or delayed by it: who is alone has all of the intake.
// Each process counts what it accepts itself. An estimate is enough: a message is told once, whichever way it goes.

/** Recipients that go the common way at once, and how many more each second. Delivery takes in more than a thousand a second on a small machine. */
const burst = 200;
const perSecond = 50;
const maxRemembered = 10_000;

export class Bulk {
  readonly #nowMs: () => number;
  // What of the burst was used, and when. The least recently used first.
  readonly #used = new Map<string, { recipients: number; atMs: number }>();

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Counts a message to so many recipients, and says whether it belongs to its tenant's bulk. */
  count(tenantId: string, recipients: number): boolean {
    const atMs = this.#nowMs();
    const before = this.#used.get(tenantId);
    const used = before === undefined ? 0 : Math.max(0, before.recipients - ((atMs - before.atMs) / 1_000) * perSecond);
    // A message to very many is bulk by itself, also the first one.
    const isBulk = used + recipients > burst;
    this.#used.delete(tenantId);
    this.#used.set(tenantId, { recipients: isBulk ? used : used + recipients, atMs });
    if (this.#used.size > maxRemembered) this.#forgetOldest();
    return isBulk;
  }

  #forgetOldest(): void {
    const oldest = this.#used.keys().next();
    if (!oldest.done) this.#used.delete(oldest.value);
  }
}
