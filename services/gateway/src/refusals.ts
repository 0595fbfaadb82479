// Good credentials that were shown at an address where they may not be used: told to auth for its owner's audit log, gathered for a moment, and
// each of them once a minute, because somebody who found a key may try it a thousand times.
import type { RecordRefusalsRequest, Refusal } from '@maildoot/proto/maildoot/auth/v1/audit';
import type { Principal } from './authentication.ts';

const gatherMs = 500;
const againAfterMs = 60_000;
const maxRemembered = 1_000;

export class Refusals implements AsyncDisposable {
  readonly #tell: (request: RecordRefusalsRequest) => Promise<unknown>;
  readonly #toldAtMs = new Map<string, number>();
  #waiting: Refusal[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (request: RecordRefusalsRequest) => Promise<unknown>) {
    this.#tell = tell;
  }

  note({ tenantId, credentialId }: Principal, address: string): void {
    const key = `${credentialId} ${address}`;
    const nowMs = performance.now();
    if (nowMs - (this.#toldAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < againAfterMs) return;
    if (this.#toldAtMs.size >= maxRemembered) this.#toldAtMs.clear();
    this.#toldAtMs.set(key, nowMs);
    this.#waiting.push({ tenantId, credentialId, address });
    this.#timer ??= setTimeout(() => void this.#flush(), gatherMs).unref();
  }

  /** One that can't be told is lost: the log is for people, and nothing waits for it. */
  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const refusals = this.#waiting;
    this.#waiting = [];
    if (refusals.length > 0) await this.#tell({ refusals }).catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#flush();
  }
}
