/**
 * Who calls: a JWT (HS256) of 60 seconds that names the calling service. It is made once per 30 seconds and verified once, so that
 * a call costs a map lookup.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';

const LIFETIME_S = 60;
const RENEW_AFTER_MS = 30_000;
const CLOCK_TOLERANCE_S = 5;
const AUDIENCE = 'maildoot-rpc';
// A token per caller and 30 seconds; far more than that is somebody trying.
const MAX_REMEMBERED = 1000;

/** Gives the current token of one service. */
export class CallerTokenSource {
  readonly #self: string;
  readonly #key: KeyObject;
  readonly #now: () => number;
  #token = '';
  #renewAtMs = 0;
  #pending: Promise<string> | undefined;

  constructor(self: string, secret: string, now: () => number = Date.now) {
    this.#self = self;
    this.#key = createSecretKey(Buffer.from(secret, 'utf8'));
    this.#now = now;
  }

  /** The token at once when it is young enough; otherwise a promise of the next one, shared by all who ask. */
  current(): string | Promise<string> {
    const now = this.#now();
    // A clock that was set back would keep a token alive that the peer takes for expired.
    if (now < this.#renewAtMs && now >= this.#renewAtMs - RENEW_AFTER_MS) return this.#token;
    this.#pending ??= this.#renew(now).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #renew(now: number): Promise<string> {
    const issuedAt = Math.floor(now / 1000);
    const token = await new SignJWT()
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(this.#self)
      .setAudience(AUDIENCE)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + LIFETIME_S)
      .sign(this.#key);
    this.#token = token;
    this.#renewAtMs = now + RENEW_AFTER_MS;
    return token;
  }
}

interface Verified {
  readonly caller: string;
  readonly expiresAtMs: number;
}

/** Knows the callers behind tokens. */
export class CallerTokenVerifier {
  readonly #key: KeyObject;
  readonly #now: () => number;
  readonly #verified = new Map<string, Verified>();
  readonly #pending = new Map<string, Promise<string | undefined>>();

  constructor(secret: string, now: () => number = Date.now) {
    this.#key = createSecretKey(Buffer.from(secret, 'utf8'));
    this.#now = now;
  }

  /** The caller at once when the token was seen before, otherwise a promise. Undefined: no good token. */
  caller(token: string): string | undefined | Promise<string | undefined> {
    const known = this.#verified.get(token);
    if (known) {
      if (this.#now() < known.expiresAtMs) return known.caller;
      this.#verified.delete(token);
      return undefined;
    }
    let pending = this.#pending.get(token);
    if (!pending) {
      pending = this.#verify(token).finally(() => this.#pending.delete(token));
      this.#pending.set(token, pending);
    }
    return pending;
  }

  async #verify(token: string): Promise<string | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        audience: AUDIENCE,
        requiredClaims: ['sub', 'exp', 'iat'],
        maxTokenAge: LIFETIME_S,
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(this.#now()),
      });
      if (!payload.sub || payload.exp === undefined) return undefined;
      this.#remember(token, { caller: payload.sub, expiresAtMs: (payload.exp + CLOCK_TOLERANCE_S) * 1000 });
      return payload.sub;
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  #remember(token: string, verified: Verified): void {
    if (this.#verified.size >= MAX_REMEMBERED) {
      const now = this.#now();
      for (const [old, { expiresAtMs }] of this.#verified) if (expiresAtMs <= now) this.#verified.delete(old);
      if (this.#verified.size >= MAX_REMEMBERED) this.#verified.clear();
    }
    this.#verified.set(token, verified);
  }
}
