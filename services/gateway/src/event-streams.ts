// The feed as a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): who may have how many, and
// what goes over the wire. A stream ends, cleanly and at any event, when the gateway stops, the credential does, or messaging can't be
// asked: clients come back by themselves and say where they were (Last-Event-ID).
import { ApiError } from './errors.ts';

export interface EventStreamLimits {
  /** Streams of one tenant at this process. */
  readonly perTenant: number;
  /** How long nothing is sent before a comment is. */
  readonly heartbeatMs: number;
  /** How long a revoked credential goes on reading, beside what the gateway remembers of it. */
  readonly recheckMs: number;
  /** How long a reader may leave what was written lying about before it is cut. */
  readonly stalledAfterMs: number;
}

const usualLimits: EventStreamLimits = { perTenant: 20, heartbeatMs: 15_000, recheckMs: 1_500, stalledAfterMs: 10_000 };
const reconnectAfterMs = 1_000;

/** The streams that are open, by tenant. */
export class EventStreams {
  readonly limits: EventStreamLimits;
  readonly #open = new Map<string, number>();

  constructor(limits: Partial<EventStreamLimits> = {}) {
    this.limits = { ...usualLimits, ...limits };
  }

  /** Takes a place, until it is disposed of. @throws ApiError RATE_LIMITED */
  open(tenantId: string): Disposable {
    const open = this.#open.get(tenantId) ?? 0;
    if (open >= this.limits.perTenant)
      throw new ApiError(
        'RATE_LIMITED',
        `${this.limits.perTenant} streams of your events are open already. Close one, or read one from several places.`,
      );
    this.#open.set(tenantId, open + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const left = (this.#open.get(tenantId) ?? 1) - 1;
        if (left === 0) this.#open.delete(tenantId);
        else this.#open.set(tenantId, left);
      },
    };
  }
}

/** One event of the feed, as it is sent. */
export interface SentEvent {
  readonly seq: number;
  readonly type: string;
}

export interface StreamPage {
  readonly events: readonly SentEvent[];
  /** Where to go on. */
  readonly next: bigint;
}

export interface EventStreamOptions {
  readonly first: StreamPage;
  readonly limits: EventStreamLimits;
  readonly signal: AbortSignal;
  /** The next page, waited for so long where there is nothing yet. */
  readonly page: (after: bigint, waitMs: number) => Promise<StreamPage>;
  /** Rejects when the credential is worth nothing any more. */
  readonly recheck: () => Promise<unknown>;
  /** Called with what ended the stream, unless it was the client or the gateway. */
  readonly onCut: (cause: unknown) => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

/** Frames for as long as there is somebody to read them. */
export async function* eventFrames(options: EventStreamOptions): AsyncGenerator<Uint8Array> {
  const { limits, signal, page, recheck, onCut, nowMs } = options;
  yield Buffer.from(`retry: ${reconnectAfterMs}\n\n${framesOf(options.first)}`);
  let sentAtMs = nowMs();
  let after = options.first.next;
  while (!signal.aborted) {
    let next: StreamPage;
    try {
      await recheck();
      const untilHeartbeatMs = Math.max(0, sentAtMs + limits.heartbeatMs - nowMs());
      next = await page(after, Math.min(limits.recheckMs, untilHeartbeatMs));
    } catch (error) {
      if (!signal.aborted) onCut(error);
      return;
    }
    after = next.next;
    const silent = next.events.length === 0;
    if (silent && nowMs() - sentAtMs < limits.heartbeatMs) continue;
    yield Buffer.from(silent ? ': nothing new\n\n' : framesOf(next));
    sentAtMs = nowMs();
  }
}

function framesOf({ events }: StreamPage): string {
  // JSON has no line breaks outside of its texts, and those are escaped: one line of data each.
  return events.map((event) => `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}
