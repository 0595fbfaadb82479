// Access tokens of sessions: RS256 JWTs (RFC 7519), checked by auth's public keys without asking anybody. A key that isn't known is asked for,
// though not often: whoever makes tokens up decides what key they name.
import type { SigningKey } from '@maildoot/proto/maildoot/auth/v1/session';
import { idToUuid } from '@maildoot/runtime/ids';
import { createLocalJWKSet, type JSONWebKeySet, errors as joseErrors, jwtVerify } from 'jose';
import { ApiError } from './errors.ts';

/** So old the keys may become before they are asked for again: a key that is withdrawn stops being good by then. */
const freshMs = 60_000;
/** After a token with an unknown key, and for those who read the keys: at most so often. */
const askAtMostEveryMs = 2_000;
const clockToleranceS = 5;

export interface SessionTokensOptions {
  /** Asks auth. */
  readonly ask: () => Promise<readonly SigningKey[]>;
  /** The public URL: known once the gateway listens. */
  readonly issuer: () => string;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly now?: () => Date;
}

export class SessionTokens {
  readonly #options: SessionTokensOptions;
  #keys: JSONWebKeySet = { keys: [] };
  #find = createLocalJWKSet(this.#keys);
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #strangerAtMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(options: SessionTokensOptions) {
    this.#options = options;
  }

  /** Undefined for a token that isn't good. @throws ApiError UNAVAILABLE when the keys can't be had */
  async sessionOf(token: string): Promise<{ sessionId: string; userId: string } | undefined> {
    await this.#notOlderThan(freshMs);
    try {
      return await this.#verified(token);
    } catch (error) {
      if (!(error instanceof joseErrors.JWKSNoMatchingKey)) return undefined;
    }
    // A key that has just been made, or one that was made up: the next question about one waits.
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#strangerAtMs < askAtMostEveryMs) return undefined;
    this.#strangerAtMs = nowMs;
    await this.#notOlderThan(0);
    return this.#verified(token).catch(() => undefined);
  }

  /** The public keys, as RFC 7517 has them. @throws ApiError UNAVAILABLE */
  async jwks(): Promise<JSONWebKeySet> {
    await this.#notOlderThan(askAtMostEveryMs);
    return this.#keys;
  }

  /** Keys may have been withdrawn: they are asked for before the next token is believed. */
  forget(): void {
    this.#askedAtMs = Number.NEGATIVE_INFINITY;
  }

  async #verified(token: string): Promise<{ sessionId: string; userId: string } | undefined> {
    const { payload } = await jwtVerify(token, this.#find, {
      algorithms: ['RS256'],
      issuer: this.#options.issuer(),
      audience: 'maildoot',
      requiredClaims: ['exp', 'sub', 'sid'],
      clockTolerance: clockToleranceS,
      currentDate: this.#options.now?.() ?? new Date(),
    });
    const { sid, sub } = payload;
    if (typeof sid !== 'string' || idToUuid('ses', sid) === undefined || typeof sub !== 'string') return undefined;
    return { sessionId: sid, userId: sub };
  }

  async #notOlderThan(ageMs: number): Promise<void> {
    if (this.#options.nowMs() - this.#askedAtMs < ageMs) return;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    try {
      await this.#asking;
    } catch (cause) {
      // What was good a moment ago is better than nothing; whether a session lasts is asked for anyway.
      if (this.#keys.keys.length > 0) return;
      throw new ApiError('UNAVAILABLE', 'Sessions can’t be checked at the moment. Send the same request again after Retry-After.', {
        cause,
      });
    }
  }

  async #ask(): Promise<void> {
    const askedAtMs = this.#options.nowMs();
    const keys = await this.#options.ask();
    this.#keys = { keys: keys.map(({ kid, n, e }) => ({ kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e })) };
    this.#find = createLocalJWKSet(this.#keys);
    this.#askedAtMs = askedAtMs;
  }
}
