// Limits that hold over all gateways: requests a minute, messages a day. Auth keeps the ledgers. Each gateway takes portions of them ahead of
// need and hands those out by itself, so that as a rule a request takes a number from memory and nobody is asked.
//
//   · A portion that runs low is filled in the background; only one that is empty is waited for.
//   · A portion is as large as what was used lately, so that a limit of three is exact and one of a million costs a call a second.
//   · What nobody has used for a while is given back.
//   · While auth can't be asked, what it said last is not exceeded, and who is new has no limit: for longer than seconds nobody gets past the
//     credentials then.
import { Ledger, type Take, type Taken, type TakeQuotaRequest, type TakeQuotaResponse } from '@maildoot/proto/maildoot/auth/v1/quota';
import type { Principal } from './authentication.ts';
import { ApiError } from './errors.ts';
import type { Operation } from './route.ts';
import { telemetry } from './telemetry.ts';

const leastWanted = 8;
const mostWanted = 5_000;
/** That there is no limit, or nothing left, is believed for so long. */
const believedMs = 1_000;
const unlimitedBelievedMs = 3_000;
/** Counting holds a request up for so long at most, and after a failure nobody is asked for a moment. */
const patienceMs = 1_000;
const unaskedAfterFailureMs = 1_000;
const idleMs = 5_000;
const tidyEveryMs = 2_500;

export interface RateLimitsOptions {
  /** Asks auth. */
  readonly take: (request: TakeQuotaRequest) => Promise<TakeQuotaResponse>;
  /** Monotonic milliseconds: when a window ends is told as from now, so that clocks that differ don't matter. */
  readonly nowMs: () => number;
}

/** Where the answer's headers are gathered. */
export interface LimitHeaders {
  limitHeaders: Readonly<Record<string, string>> | undefined;
}

type Name = 'requests' | 'sends' | 'messages' | 'key-messages';

interface Portion {
  readonly name: Name;
  readonly of: Pick<Take, 'ledger' | 'tenantId' | 'credentialId'>;
  credentialLimit: number;
  /** What is ours of the window. */
  left: number;
  /** What auth said last. */
  last: Taken | undefined;
  askedAtMs: number;
  endsAtMs: number;
  usedAtMs: number;
  usedSinceAsked: number;
  /** What those want who wait for auth's answer. */
  awaited: number;
  asking: Promise<void> | undefined;
}

export class RateLimits implements AsyncDisposable {
  readonly #options: RateLimitsOptions;
  readonly #portions = new Map<string, Portion>();
  readonly #tidying: NodeJS.Timeout;
  /** What an answer speaks of already: the limits of requests, when messages are counted too. */
  readonly #spokenOf = new WeakMap<LimitHeaders, Portion>();
  #failedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: RateLimitsOptions) {
    this.#options = options;
    this.#tidying = setInterval(() => this.#tidy(), tidyEveryMs).unref();
  }

  /** Counts one request. @throws ApiError RATE_LIMITED */
  async takeRequest({ tenantId }: Principal, route: Pick<Operation, 'sends'>, answer: LimitHeaders): Promise<void> {
    const portion = route.sends
      ? this.#portion('sends', Ledger.LEDGER_SENDS, tenantId)
      : this.#portion('requests', Ledger.LEDGER_REQUESTS, tenantId);
    const had = this.#takeNow(portion, 1) || (await this.#takeSoon(portion, 1));
    this.#spokenOf.set(answer, portion);
    answer.limitHeaders = this.#headers([portion]);
    if (!had) {
      throw new ApiError('RATE_LIMITED', `There are at most ${portion.last?.limit} of these requests a minute. Go on after Retry-After.`, {
        retryAfterMs: this.#resetS(portion) * 1000,
      });
    }
  }

  /** Counts messages. What of them is not sent is given back by the function that comes back. @throws ApiError QUOTA_EXCEEDED */
  async takeMessages(
    { tenantId, credentialId, limits }: Principal,
    count: number,
    answer: LimitHeaders,
  ): Promise<(unused: number) => void> {
    const portions = [this.#portion('messages', Ledger.LEDGER_TENANT_MESSAGES, tenantId)];
    if (limits.dailyLimit > 0) {
      const ofKey = this.#portion('key-messages', Ledger.LEDGER_CREDENTIAL_MESSAGES, tenantId, credentialId);
      ofKey.credentialLimit = limits.dailyLimit;
      portions.push(ofKey);
    }
    const had = await Promise.all(portions.map((portion) => this.#takeNow(portion, count) || this.#takeSoon(portion, count)));
    const limited = portions.filter(({ last }) => last !== undefined && last.limit > 0n);
    const ofRequests = this.#spokenOf.get(answer);
    if (limited.length > 0) answer.limitHeaders = this.#headers(ofRequests === undefined ? limited : [ofRequests, ...limited]);
    const giveBack = (unused: number): void => {
      if (unused > 0) for (const portion of limited) portion.left += unused;
    };
    const refused = portions.find((_, index) => !had[index]);
    if (refused === undefined) return giveBack;
    portions.forEach((portion, index) => {
      if (had[index]) portion.left += count;
    });
    const left = Number(refused.last?.remaining ?? 0n) + Math.max(0, refused.left);
    const whose = refused.name === 'messages' ? 'this account' : 'this key';
    throw new ApiError(
      'QUOTA_EXCEEDED',
      `There are ${refused.last?.limit} messages a day (UTC) for ${whose}, and ${left === 0 ? 'none is' : `${left} are`} left: not enough for ${count}.`,
    );
  }

  #portion(name: Name, ledger: Ledger, tenantId: string, credentialId = ''): Portion {
    const key = `${name} ${credentialId || tenantId}`;
    let portion = this.#portions.get(key);
    if (portion === undefined) {
      portion = {
        name,
        of: { ledger, tenantId, credentialId },
        credentialLimit: 0,
        left: 0,
        last: undefined,
        askedAtMs: Number.NEGATIVE_INFINITY,
        endsAtMs: 0,
        usedAtMs: 0,
        usedSinceAsked: 0,
        awaited: 0,
        asking: undefined,
      };
      this.#portions.set(key, portion);
    }
    return portion;
  }

  /** From what is there, without a wait. */
  #takeNow(portion: Portion, count: number): boolean {
    const { last } = portion;
    if (last === undefined || this.#isOver(portion)) return false;
    const nowMs = this.#options.nowMs();
    portion.usedAtMs = nowMs;
    portion.usedSinceAsked += count;
    if (last.limit === 0n) {
      if (nowMs - portion.askedAtMs >= unlimitedBelievedMs) void this.#ask(portion, 0);
      return true;
    }
    if (portion.left < count) return false;
    portion.left -= count;
    if (last.remaining > 0n && portion.left < portion.usedSinceAsked / 4) void this.#ask(portion, 0);
    return true;
  }

  /** After asking; while nobody can be asked, by what was said last. */
  async #takeSoon(portion: Portion, count: number): Promise<boolean> {
    const untilMs = this.#options.nowMs() + patienceMs;
    portion.awaited += count;
    try {
      // What is being asked for may be for others, as often as there are others.
      for (;;) {
        if (this.#isEmpty(portion, count)) return false;
        if (this.#options.nowMs() - this.#failedAtMs < unaskedAfterFailureMs) return this.#takeUnasked(portion, count);
        try {
          await withinPatience(this.#ask(portion, count));
        } catch (error) {
          this.#failedAtMs = this.#options.nowMs();
          telemetry.limitsNotAsked(error);
          return this.#takeUnasked(portion, count);
        }
        if (this.#takeNow(portion, count)) return true;
        if (this.#options.nowMs() >= untilMs) return this.#takeUnasked(portion, count);
      }
    } finally {
      portion.awaited -= count;
    }
  }

  /** From what was left for everybody when auth was asked last. Other gateways may do the same, so a limit may be exceeded by as much once each. */
  #takeUnasked(portion: Portion, count: number): boolean {
    const { last } = portion;
    if (last === undefined || last.limit === 0n || this.#isOver(portion)) return true;
    const own = Math.min(count, Math.max(0, portion.left));
    const others = BigInt(count - own);
    if (last.remaining < others) return false;
    portion.left -= own;
    last.remaining -= others;
    return true;
  }

  /** Auth has just said that there is not enough. */
  #isEmpty(portion: Portion, count: number): boolean {
    const { last, left } = portion;
    return (
      last !== undefined &&
      last.limit > 0n &&
      !this.#isOver(portion) &&
      last.remaining + BigInt(Math.max(0, left)) < BigInt(count) &&
      this.#options.nowMs() - portion.askedAtMs < believedMs
    );
  }

  #ask(portion: Portion, needed: number): Promise<void> {
    portion.asking ??= this.#askNow(portion, needed).finally(() => (portion.asking = undefined));
    // Who doesn't wait for it doesn't hear of its failure: the next one who has to wait asks again.
    portion.asking.catch(() => undefined);
    return portion.asking;
  }

  async #askNow(portion: Portion, needed: number): Promise<void> {
    const askedAtMs = this.#options.nowMs();
    const wanted = Math.min(mostWanted, Math.max(leastWanted, portion.usedSinceAsked * 2, portion.awaited));
    // What we hold counts towards what is needed.
    const take: Take = {
      ...portion.of,
      credentialLimit: portion.credentialLimit,
      needed: this.#isOver(portion) ? needed : Math.max(0, needed - Math.max(0, portion.left)),
      wanted,
      returned: 0,
      returnedWindowS: 0n,
    };
    const [taken] = (await this.#options.take({ takes: [take] })).taken;
    if (taken === undefined) throw new Error('auth answered without a portion');
    if (portion.last?.windowStartS !== taken.windowStartS) portion.left = 0;
    portion.left += taken.granted;
    portion.last = taken;
    portion.askedAtMs = askedAtMs;
    portion.endsAtMs = askedAtMs + taken.endsInMs;
    portion.usedSinceAsked = 0;
  }

  #isOver({ last, endsAtMs }: Portion): boolean {
    return last !== undefined && this.#options.nowMs() >= endsAtMs;
  }

  #resetS({ endsAtMs }: Portion): number {
    return Math.max(0, Math.ceil((endsAtMs - this.#options.nowMs()) / 1000));
  }

  /** draft-ietf-httpapi-ratelimit-headers, and the three headers that came before it, which speak of the limit that is nearest. */
  #headers(portions: readonly Portion[]): Record<string, string> {
    const known = portions.flatMap((portion) => {
      const { last, left, name } = portion;
      if (last === undefined || last.limit === 0n) return [];
      return [
        {
          name,
          limit: Number(last.limit),
          windowS: last.windowS,
          left: Number(last.remaining) + Math.max(0, left),
          resetS: this.#resetS(portion),
        },
      ];
    });
    const [nearest] = known.toSorted((one, other) => one.left / one.limit - other.left / other.limit);
    if (nearest === undefined) return {};
    return {
      'RateLimit-Policy': known.map(({ name, limit, windowS }) => `"${name}";q=${limit};w=${windowS}`).join(', '),
      RateLimit: known.map(({ name, left, resetS }) => `"${name}";r=${left};t=${resetS}`).join(', '),
      'RateLimit-Limit': String(nearest.limit),
      'RateLimit-Remaining': String(nearest.left),
      'RateLimit-Reset': String(nearest.resetS),
    };
  }

  /** Gives back what nobody uses, and forgets who has not been here. */
  #tidy(): void {
    const nowMs = this.#options.nowMs();
    for (const [key, portion] of this.#portions) {
      if (portion.asking !== undefined || nowMs - portion.usedAtMs < idleMs) continue;
      this.#portions.delete(key);
      void this.#giveBack([portion]);
    }
  }

  async #giveBack(portions: readonly Portion[]): Promise<void> {
    const takes = portions.flatMap((portion): Take[] => {
      const { last, left, of, credentialLimit } = portion;
      if (last === undefined || last.limit === 0n || left <= 0 || this.#isOver(portion)) return [];
      return [{ ...of, credentialLimit, needed: 0, wanted: 0, returned: left, returnedWindowS: last.windowStartS }];
    });
    if (takes.length === 0) return;
    await this.#options.take({ takes }).catch((error: unknown) => telemetry.limitsNotAsked(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#tidying);
    const portions = [...this.#portions.values()];
    this.#portions.clear();
    await Promise.allSettled(portions.map(({ asking }) => asking));
    await this.#giveBack(portions);
  }
}

async function withinPatience(asked: Promise<void>): Promise<void> {
  const { promise: tooLong, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('auth takes too long to say how much is left')), patienceMs);
  try {
    await Promise.race([asked, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
