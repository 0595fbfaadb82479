// Keys that call deprecated operations: told to auth, which writes to their owners, gathered for a moment and each of them once. Auth knows
// whom it has written to; what is remembered here only keeps it from being told a thousand times.
import type { DeprecatedCall, RecordDeprecatedCallsRequest } from '@maildoot/proto/maildoot/auth/v1/deprecation';
import type { Principal } from './authentication.ts';

const gatherMs = 500;
const againAfterMs = 5_000;
const maxRemembered = 10_000;
const maxWaiting = 1_000;

export type WhatIsDeprecated = Omit<DeprecatedCall, 'tenantId' | 'apiKeyId'>;

export class DeprecatedCalls implements AsyncDisposable {
  readonly #tell: (request: RecordDeprecatedCallsRequest) => Promise<unknown>;
  readonly #met = new Set<string>();
  #waiting: DeprecatedCall[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: (request: RecordDeprecatedCallsRequest) => Promise<unknown>) {
    this.#tell = tell;
  }

  /** Of people nobody is told, by whatever they call: each sees the answer. */
  note({ kind, tenantId, credentialId }: Principal, what: WhatIsDeprecated): void {
    const key = `${credentialId} ${what.operationId}`;
    if (kind !== 'key' || this.#met.has(key) || this.#waiting.length >= maxWaiting) return;
    if (this.#met.size >= maxRemembered) this.#met.clear();
    this.#met.add(key);
    this.#waiting.push({ tenantId, apiKeyId: credentialId, ...what });
    this.#timer ??= setTimeout(() => void this.#flush(), gatherMs).unref();
  }

  /** What auth doesn't take is told again. */
  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const calls = this.#waiting;
    if (calls.length === 0) return;
    this.#waiting = [];
    await this.#tell({ calls }).catch(() => {
      this.#waiting.unshift(...calls);
      this.#timer ??= setTimeout(() => void this.#flush(), againAfterMs).unref();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flush();
    clearTimeout(this.#timer);
  }
}
