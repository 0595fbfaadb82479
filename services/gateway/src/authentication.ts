// Whose credential a request carries. Asking auth each time would cost an RPC per request, so the answer is kept for 3 s by the key's hash,
// and concurrent requests share one question. Revocations are told to us (revocations.ts) and end an answer at once. Where that fails, a
// revoked key stops within 3 s, and within 5 s when auth can't be asked: counted from when the question was sent, because the revocation
// may have come right behind it. An answer older than that is worth nothing, and the request is refused.
//
// The token of a session is checked by its signature, here; whether the session still lasts is asked and told like the state of a key, by
// the hash of the session's id. So nobody learns anything from auth with a token that is forged or over. A personal access token is a key to
// all this, but that it stands for a person: it has a role, as a session has.
import { hash } from 'node:crypto';
import type { BlockList } from 'node:net';
import { type Principal as AuthPrincipal, CredentialKind, type KeyLimits, type Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { RpcError } from '@maildoot/rpc/errors';
import { contains, networkList } from './caller-address.ts';
import { ApiError } from './errors.ts';
import type { Guesses } from './guesses.ts';
import { roleName, scopeOf } from './roles.ts';
import type { CredentialKindName, RoleName, ScopeName } from './route.ts';
import type { SessionTokens } from './session-tokens.ts';

const freshMs = 3000;
const failsClosedAfterMs = 5000;
/** Where auth can't say it: its database hangs, or it is just being started. */
const awayRetryAfterMs = 5_000;
/** Shorter, because a caller who has just been given a key may have tried it a moment too early. */
const refusalFreshMs = 1000;
const maxRemembered = 10_000;
// Longer than any key or token; nothing that is longer is worth a hash.
const maxKeyChars = 256;
const maxTokenChars = 2048;
const keyMarker = 'mdsk_';
const tokenMarker = 'pat_';

/** Who calls, and what they may. */
export interface Principal {
  readonly tenantId: string;
  readonly kind: CredentialKindName;
  /** `key_…` of a key, `usr_…` of a person: who acts. */
  readonly credentialId: string;
  /** `usr_…` of a session and of a personal access token; empty otherwise. */
  readonly userId: string;
  /** `ses_…` of a session; empty otherwise. */
  readonly sessionId: string;
  readonly role: RoleName | undefined;
  readonly protoRole: Role;
  /** A test key: everything works, nothing leaves the house. */
  readonly test: boolean;
  /** The account may look, and do nothing. */
  readonly suspended: boolean;
  /** Undefined: nothing at all (a scope that this release doesn't know). */
  readonly scope: ScopeName | undefined;
  readonly protoScope: Scope;
  readonly allowedDomains: readonly string[];
  /** What limits the key beside its scope: a key it makes gets no wider ones. */
  readonly limits: KeyLimits;
}

interface Known {
  readonly principal: Principal;
  readonly allowedIps: BlockList | undefined;
}

interface Entry {
  /** Undefined: auth said that there is no such key. */
  readonly known: Known | undefined;
  readonly askedAtMs: number;
}

/** A question that is under way. */
interface Question {
  readonly answer: Promise<Entry>;
  /** What was heard since it was sent. `revoked` is final; `outdated` means that its answer is good for those who wait, and no longer. */
  heard: 'nothing' | 'outdated' | 'revoked';
}

export interface AuthenticatorOptions {
  /** Asks auth whose key it is. Rejects with an RpcError INVALID_TOKEN where there is no such key. */
  readonly ask: (keySha256: Buffer, address: string) => Promise<AuthPrincipal>;
  /** Asks auth whose personal access token it is. Rejects with an RpcError INVALID_TOKEN where it is nobody's. */
  readonly askToken: (tokenSha256: Buffer, address: string) => Promise<AuthPrincipal>;
  /** Asks auth whose session it is. Rejects with an RpcError INVALID_TOKEN where it has ended. */
  readonly askSession: (sessionId: string) => Promise<AuthPrincipal>;
  /** Asks auth who a name and a password of SMTP belong to: the SHA-256 of both. Rejects with an RpcError INVALID_TOKEN where nobody. */
  readonly askSmtpUser: (credentialSha256: Buffer) => Promise<AuthPrincipal>;
  readonly tokens: Pick<SessionTokens, 'sessionOf'>;
  readonly guesses: Pick<Guesses, 'check' | 'failed'>;
  /** A good credential that was shown at a wrong address: its owner should know. */
  readonly refused: (principal: Principal, address: string) => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #nowMs: () => number;
  // Apart, so that a flood of made-up keys can't push the real ones out.
  readonly #known = new Map<string, Entry>();
  readonly #unknown = new Map<string, Entry>();
  readonly #asking = new Map<string, Question>();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs;
  }

  /** The holder of the credential in an Authorization header. @throws ApiError MISSING_TOKEN, INVALID_TOKEN, RATE_LIMITED, UNAVAILABLE */
  async principalOf(authorization: string | undefined, address: string): Promise<Principal> {
    const { guesses } = this.#options;
    try {
      const token = tokenOf(authorization);
      return await (isSecret(token) ? this.#holderOfSecret(token, address) : this.#holderOfSession(token));
    } catch (error) {
      if (error instanceof ApiError && error.code === 'INVALID_TOKEN') guesses.failed(address);
      throw error;
    }
  }

  /**
   * The holder of what was shown at AUTH: an SMTP user's name and password, or `apikey` and a key or a personal access token.
   * @throws ApiError INVALID_TOKEN, RATE_LIMITED, UNAVAILABLE
   */
  async principalOfSmtp(username: string, password: string, address: string): Promise<Principal> {
    const { guesses, askSmtpUser } = this.#options;
    try {
      if (username.length > maxKeyChars || password.length > maxKeyChars || password === '') throw invalidToken();
      if (username.toLowerCase() === 'apikey') {
        if (!isSecret(password)) throw invalidToken();
        return await this.#holderOfSecret(password, address);
      }
      const credential = hash('sha256', `${username.toLowerCase()}\0${password}`, 'base64');
      return await this.#holderOf(credential, () => askSmtpUser(Buffer.from(credential, 'base64')), address);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'INVALID_TOKEN') guesses.failed(address);
      throw error;
    }
  }

  async #holderOfSecret(secret: string, address: string): Promise<Principal> {
    const { ask, askToken } = this.#options;
    const asks = secret.startsWith(tokenMarker) ? askToken : ask;
    const keyHash = hash('sha256', secret, 'base64');
    return this.#holderOf(keyHash, () => asks(Buffer.from(keyHash, 'base64'), address), address);
  }

  async #holderOf(keyHash: string, ask: () => Promise<AuthPrincipal>, address: string): Promise<Principal> {
    // Whoever came with many bad keys lately is asked about only where there is an answer already.
    if (!this.#known.has(keyHash) && this.#fresh(keyHash) === undefined) this.#options.guesses.check(address);
    const { known } = await this.#entry(keyHash, ask);
    if (known === undefined) throw invalidToken();
    // Somebody who found a key learns nothing from trying it at a wrong place.
    if (known.allowedIps && !contains(known.allowedIps, address)) {
      this.#options.refused(known.principal, address);
      throw invalidToken();
    }
    return known.principal;
  }

  async #holderOfSession(token: string): Promise<Principal> {
    const { tokens, askSession } = this.#options;
    const { sessionId, userId } = (await tokens.sessionOf(token)) ?? {};
    if (sessionId === undefined) throw invalidToken();
    const { known } = await this.#entry(hash('sha256', sessionId, 'base64'), () => askSession(sessionId));
    if (known?.principal.kind !== 'session' || known.principal.userId !== userId) throw invalidToken();
    return { ...known.principal, sessionId };
  }

  async #entry(keyHash: string, ask: () => Promise<AuthPrincipal>): Promise<Entry> {
    return this.#fresh(keyHash) ?? (await this.#askOnce(keyHash, ask));
  }

  /** The key of this hash was revoked: no answer about it is good any more, also one that is on its way. */
  revoked(keySha256: Uint8Array): void {
    const keyHash = Buffer.from(keySha256).toString('base64');
    const asking = this.#asking.get(keyHash);
    if (asking) asking.heard = 'revoked';
    if (this.#known.delete(keyHash)) remember(this.#unknown, keyHash, { known: undefined, askedAtMs: this.#nowMs() });
  }

  /** Keys may have been revoked without our being told: nothing that is known is good any more. */
  forget(): void {
    // What was good stays known as such: its holder is asked about, wherever the request comes from.
    for (const [keyHash, entry] of this.#known) this.#known.set(keyHash, { ...entry, askedAtMs: Number.NEGATIVE_INFINITY });
    for (const asking of this.#asking.values()) if (asking.heard === 'nothing') asking.heard = 'outdated';
  }

  #fresh(keyHash: string): Entry | undefined {
    const now = this.#nowMs();
    const known = this.#known.get(keyHash);
    if (known && now - known.askedAtMs < freshMs) return known;
    const unknown = this.#unknown.get(keyHash);
    return unknown && now - unknown.askedAtMs < refusalFreshMs ? unknown : undefined;
  }

  async #askOnce(keyHash: string, ask: () => Promise<AuthPrincipal>): Promise<Entry> {
    let asking = this.#asking.get(keyHash);
    if (!asking) {
      const answer = this.#askNow(keyHash, ask).finally(() => this.#asking.delete(keyHash));
      asking = { answer, heard: 'nothing' };
      this.#asking.set(keyHash, asking);
    }
    try {
      return await asking.answer;
    } catch (cause) {
      const last = this.#known.get(keyHash);
      if (last && this.#nowMs() - last.askedAtMs < failsClosedAfterMs) return last;
      throw new ApiError('UNAVAILABLE', 'Credentials can’t be checked at the moment. Send the same request again after Retry-After.', {
        retryAfterMs: (cause instanceof RpcError ? cause.retryAfterMs : undefined) ?? awayRetryAfterMs,
        cause,
      });
    }
  }

  async #askNow(keyHash: string, ask: () => Promise<AuthPrincipal>): Promise<Entry> {
    const askedAtMs = this.#nowMs();
    let known: Known | undefined;
    try {
      const principal = await ask();
      known = { principal: principalFrom(principal), allowedIps: networkList(principal.allowedIps) };
    } catch (error) {
      if (!(error instanceof RpcError && error.code === 'INVALID_TOKEN')) throw error;
    }
    const heard = this.#asking.get(keyHash)?.heard ?? 'nothing';
    const entry: Entry = { known: heard === 'revoked' ? undefined : known, askedAtMs };
    this.#known.delete(keyHash);
    this.#unknown.delete(keyHash);
    if (entry.known === undefined) remember(this.#unknown, keyHash, entry);
    else if (heard === 'nothing') remember(this.#known, keyHash, entry);
    return entry;
  }
}

/** The longest unasked goes first: an entry moves to the end each time auth is asked. */
function remember(entries: Map<string, Entry>, keyHash: string, entry: Entry): void {
  entries.set(keyHash, entry);
  if (entries.size <= maxRemembered) return;
  const [oldest] = entries.keys();
  if (oldest !== undefined) entries.delete(oldest);
}

function tokenOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') throw missingToken();
  const match = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization);
  const token = match?.[1];
  // What can't be a credential is not worth a question.
  if (token === undefined || token.length > (isSecret(token) ? maxKeyChars : maxTokenChars)) throw invalidToken();
  if (!isSecret(token) && !/^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)) throw invalidToken();
  return token;
}

/** A key or a personal access token: looked up by its hash. */
function isSecret(text: string): boolean {
  return text.startsWith(keyMarker) || text.startsWith(tokenMarker);
}

function missingToken(): ApiError {
  return new ApiError('MISSING_TOKEN', 'The request has no credential. Send the header Authorization: Bearer mdsk_….', {
    headers: { 'WWW-Authenticate': 'Bearer realm="maildoot"' },
  });
}

function invalidToken(): ApiError {
  return new ApiError('INVALID_TOKEN', 'The credential is unknown, revoked or expired, or may not be used from this address.', {
    headers: { 'WWW-Authenticate': 'Bearer realm="maildoot", error="invalid_token"' },
  });
}

function principalFrom(principal: AuthPrincipal): Principal {
  const { tenantId, apiKeyId, userId, allowedIps, allowedDomains, expiresAt, dailyLimit } = principal;
  const kind = kindOfPerson[principal.kind] ?? 'key';
  const test = principal.kind === CredentialKind.CREDENTIAL_KIND_TEST_KEY;
  const role = kind === 'key' ? undefined : roleName(principal.role);
  return {
    tenantId,
    kind,
    credentialId: kind === 'key' ? apiKeyId : userId,
    userId,
    sessionId: '',
    role,
    protoRole: principal.role,
    test,
    suspended: principal.suspended,
    scope: kind === 'key' ? scopeNames[principal.scope] : scopeOf(role),
    protoScope: principal.scope,
    allowedDomains,
    limits: { allowedIps, allowedDomains, expiresAt, dailyLimit, test },
  };
}

const kindOfPerson: Partial<Record<number, 'session' | 'pat'>> = {
  [CredentialKind.CREDENTIAL_KIND_SESSION]: 'session',
  [CredentialKind.CREDENTIAL_KIND_PAT]: 'pat',
};

const scopeNames: Partial<Record<number, ScopeName>> = {
  [Scope.SCOPE_READ]: 'read',
  [Scope.SCOPE_SEND]: 'send',
  [Scope.SCOPE_FULL]: 'full',
};
