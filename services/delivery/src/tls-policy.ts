// How a session to a host is encrypted. Opportunistic (RFC 7435): STARTTLS whenever it is offered, any certificate, for an eavesdropper who
// only listens sees nothing then; and rather in clear than not at all, so a host whose handshake fails is tried once more without.
// That host is remembered for a while: nobody wants a failing handshake before every message.

/** The policies that an attempt's session can name. */
export type TlsPolicy = 'opportunistic' | 'none';

const rememberMs = 10 * 60_000;
const maxHosts = 10_000;

/** The hosts whose handshakes fail, as this process has seen them. */
export class TlsPolicies {
  readonly #failedAtMs = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** What to do with this host now. */
  policyFor(host: string): TlsPolicy {
    const failedAtMs = this.#failedAtMs.get(host);
    if (failedAtMs === undefined) return 'opportunistic';
    if (this.#nowMs() - failedAtMs < rememberMs) return 'none';
    this.#failedAtMs.delete(host);
    return 'opportunistic';
  }

  /** A handshake with this host failed. Answers what to try next. */
  handshakeFailed(host: string): TlsPolicy {
    const oldest = this.#failedAtMs.keys().next();
    if (this.#failedAtMs.size >= maxHosts && !oldest.done) this.#failedAtMs.delete(oldest.value);
    this.#failedAtMs.set(host, this.#nowMs());
    return 'none';
  }
}
