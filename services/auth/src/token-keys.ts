// What access tokens are signed with: RSA keys that every process of auth shares through the database, the private halves sealed. A new one takes
// over each month, or when the operator says so; a replaced one is published until the last token of it is over.
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { SigningKey } from '@maildoot/proto/maildoot/auth/v1/session';
import type { Clock } from '@maildoot/runtime/clock';
import { newId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { SignJWT } from 'jose';
import type { StoredTokenKey, TokenKeyStore } from './store/token-keys.ts';

export const accessTokenS = 3600;
const rotateAfterMs = 30 * 24 * 60 * 60 * 1000;
/** The life of a token, and what clocks may differ. */
const publishedAfterMs = accessTokenS * 1000 + 5 * 60_000;
/** What is remembered of the table: a key that another process made signs here by then. */
const rememberedMs = 10_000;
const modulusBits = 2048;

export interface TokenClaims {
  issuer: string;
  /** `usr_…` */
  subject: string;
  /** `ses_…` */
  sessionId: string;
  /** `ten_…` */
  tenantId: string;
  role: string;
}

export class TokenKeys {
  readonly #store: TokenKeyStore;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #opened = new Map<string, KeyObject>();
  #known: { keys: readonly StoredTokenKey[]; atMs: number } | undefined;
  #rotating: Promise<unknown> | undefined;

  constructor(parts: { store: TokenKeyStore; sealer: Sealer; clock: Clock }) {
    this.#store = parts.store;
    this.#sealer = parts.sealer;
    this.#clock = parts.clock;
  }

  async sign({ issuer, subject, sessionId, tenantId, role }: TokenClaims): Promise<string> {
    const key = await this.#current();
    const now = Math.floor(this.#clock.now().getTime() / 1000);
    return new SignJWT({ sid: sessionId, tenant: tenantId, role })
      .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience('maildoot')
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + accessTokenS)
      .sign(this.#open(key));
  }

  /** Those whose tokens may still be about, newest first. */
  async published(): Promise<SigningKey[]> {
    await this.#current();
    const oldest = this.#clock.now().getTime() - publishedAfterMs;
    return (await this.#keys())
      .filter(({ retiredAt }) => retiredAt === null || retiredAt.getTime() > oldest)
      .map(({ kid, n, e }) => ({ kid, n, e }));
  }

  /** A new key takes over. With `compromised` the tokens of all others end. */
  async rotate(compromised: boolean): Promise<string> {
    await this.#replace((await this.#keys(true)).find(isCurrent)?.kid, compromised);
    return (await this.#current()).kid;
  }

  /** Now and then: a key that has served its month is replaced, one that nobody needs any more is gone. */
  async tend(): Promise<void> {
    const current = await this.#current();
    const nowMs = this.#clock.now().getTime();
    if (nowMs - current.createdAt.getTime() >= rotateAfterMs) await this.#replace(current.kid, false);
    await this.#store.forget(new Date(nowMs - publishedAfterMs));
  }

  async #current(): Promise<StoredTokenKey> {
    const known = (await this.#keys()).find(isCurrent);
    if (known !== undefined) return known;
    // The first of all: many may want it at once, and it takes a while to make.
    this.#rotating ??= this.#replace(undefined, false).finally(() => (this.#rotating = undefined));
    await this.#rotating;
    const made = (await this.#keys(true)).find(isCurrent);
    if (made === undefined) throw new Error('there is no key to sign with, though one was made');
    return made;
  }

  async #replace(instead: string | undefined, compromised: boolean): Promise<void> {
    const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: modulusBits });
    const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
    // Only its uniqueness counts; the time in it tells people which is which.
    const kid = newId('ses').slice('ses_'.length);
    const sealedPrivate = this.#sealer.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), `token_key:${kid}`);
    await this.#store.insert({ kid, sealedPrivate, n, e, createdAt: this.#clock.now() }, instead, compromised);
    this.#known = undefined;
  }

  async #keys(fresh = false): Promise<readonly StoredTokenKey[]> {
    const nowMs = performance.now();
    if (fresh || this.#known === undefined || nowMs - this.#known.atMs >= rememberedMs)
      this.#known = { keys: await this.#store.all(), atMs: nowMs };
    return this.#known.keys;
  }

  #open({ kid, sealedPrivate }: StoredTokenKey): KeyObject {
    let key = this.#opened.get(kid);
    if (key === undefined) {
      key = createPrivateKey({ key: this.#sealer.open(sealedPrivate, `token_key:${kid}`), format: 'der', type: 'pkcs8' });
      this.#opened.clear();
      this.#opened.set(kid, key);
    }
    return key;
  }
}

function isCurrent({ retiredAt }: StoredTokenKey): boolean {
  return retiredAt === null;
}
