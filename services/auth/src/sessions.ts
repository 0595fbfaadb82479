// Sessions: begun by a password, carried on by refresh tokens each of which is good once, ended by whoever it belongs to or by a token that comes
// a second time. Then somebody else has a copy, and nobody can tell who is who.

import { normaliseEmail } from '@maildoot/mail/address';
import type { LoginRequest, LoginResponse, RefreshRequest, RefreshResponse, Tokens } from '@maildoot/proto/maildoot/auth/v1/session';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Logger } from '@maildoot/runtime/logger';
import { errors } from './errors.ts';
import type { Gate } from './gate.ts';
import { guessed, paces } from './guessing.ts';
import { hashPassword, isPassword } from './password.ts';
import { newSecretToken, sha256OfToken } from './secret-token.ts';
import { shownUser } from './shown-user.ts';
import type { EntryToStore } from './store/audit.ts';
import type { Guesses } from './store/guesses.ts';
import type { People, StoredUser } from './store/people.ts';
import { telemetry } from './telemetry.ts';
import { accessTokenS, type TokenKeys } from './token-keys.ts';

const refreshTokenS = 7 * 24 * 60 * 60;
const maxUserAgentChars = 300;

export interface SessionParts {
  people: People;
  guesses: Guesses;
  tokenKeys: TokenKeys;
  clock: Clock;
  /** Before everything that anybody may ask for. */
  gate: Gate;
  /** Before refreshing, apart: it costs little, and who is logged in doesn't wait behind passwords. */
  refreshGate: Gate;
  /** Writes what failed to the audit log, a moment later. */
  note: (entry: EntryToStore) => void;
}

export interface From {
  address: string;
  userAgent: string;
}

export function from(origin: { address: string; userAgent: string } | undefined): From {
  return { address: origin?.address ?? '', userAgent: (origin?.userAgent ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, maxUserAgentChars) };
}

/**
 * 1. both counters let the try through, and count it as a failure
 * 2. the password is compared, with as much work for an address that has no account
 * 3. the account's counter is forgiven, the address's takes back what this try added
 * 4. a session with its first refresh token, if the password is still the one that was compared
 */
export function login(parts: SessionParts, request: LoginRequest, logger: Logger): Promise<LoginResponse> {
  return parts.gate.pass(() => loginInside(parts, request, logger));
}

async function loginInside(parts: SessionParts, request: LoginRequest, logger: Logger): Promise<LoginResponse> {
  const { people, guesses, clock } = parts;
  const now = clock.now();
  const origin = from(request.origin);
  // What is no address is an account that nobody has.
  const emailFolded = (normaliseEmail(request.email) ?? '').toLowerCase();
  const tried = await countTry(parts, emailFolded, origin.address, now);

  const user = await people.userByEmail(emailFolded);
  const compared = user?.passwordHash ?? undefined;
  const { ok, outdated } = await isPassword(request.password, compared);
  if (!ok || user === undefined || compared === undefined) {
    telemetry.loginFailed(logger);
    // Whoever invited somebody who hasn't come learns nothing from the log: with the address of another tenant's person it would say nothing.
    if (user !== undefined && compared !== undefined) {
      const [subjectId, detail] = [uuidToId('usr', user.id), 'wrong_password'];
      parts.note({ tenantId: user.tenantId, action: 'login.failed', actorId: '', subjectId, address: origin.address, detail });
    }
    throw wrongCredentials();
  }
  await guesses.forgive(tried.account);
  await guesses.takeBack(tried.address);
  const renewed = outdated ? await hashPassword(request.password) : undefined;
  return begin(parts, user, { compared, renewed }, request.issuer, origin);
}

export function wrongCredentials() {
  return errors.INVALID_CREDENTIALS({ message: 'The address and the password do not belong together.' });
}

/** @throws RpcError RATE_LIMITED */
export async function countTry(
  { people, guesses }: Pick<SessionParts, 'people' | 'guesses'>,
  emailFolded: string,
  address: string,
  now: Date,
): Promise<{ account: Buffer; address: Buffer }> {
  const byAddress = guessed('address', address);
  await orWait(guesses.count(byAddress, paces.address, now));
  // Who has logged in from there before is counted apart, so that strangers who guess don't keep the owner out.
  const known = address !== '' && (await people.hasComeFrom(emailFolded, address));
  const account = guessed('account', known ? `${emailFolded}\0${address}` : emailFolded);
  await orWait(guesses.count(account, paces.account, now));
  return { account, address: byAddress };
}

async function orWait(counting: Promise<number>): Promise<void> {
  const retryAfterMs = await counting;
  if (retryAfterMs > 0) throw errors.RATE_LIMITED({ message: 'Too many tries. Go on after Retry-After.', retryAfterMs });
}

async function begin(
  { people, tokenKeys, clock }: SessionParts,
  user: StoredUser,
  password: { compared: string; renewed: string | undefined },
  issuer: string,
  origin: From,
): Promise<LoginResponse> {
  const now = clock.now();
  const id = newUuid();
  const { token, sha256 } = newSecretToken('rt_');
  const userId = uuidToId('usr', user.id);
  const session = { id, tenantId: user.tenantId, userId: user.id, createdAt: now, lastUsedAt: now, expiresAt: expiry(now), ...origin };
  const begun = await people.insertSession(session, sha256, password, {
    tenantId: user.tenantId,
    action: 'session.created',
    actorId: userId,
    subjectId: uuidToId('ses', id),
    address: origin.address,
  });
  if (!begun) throw wrongCredentials();
  return { tokens: await tokensFor(tokenKeys, user, id, token, issuer), user: shownUser({ ...user, lastLoginAt: now }) };
}

export async function refresh(parts: SessionParts, request: RefreshRequest, logger: Logger): Promise<RefreshResponse> {
  const sha256 = sha256OfToken('rt_', request.refreshToken);
  if (sha256 === undefined) throw sessionOver();
  return parts.refreshGate.pass(() => refreshInside(parts, sha256, request, logger));
}

async function refreshInside(parts: SessionParts, sha256: Buffer, request: RefreshRequest, logger: Logger): Promise<RefreshResponse> {
  const now = parts.clock.now();
  const next = newSecretToken('rt_');
  const rotation = await parts.people.rotate(sha256, next.sha256, from(request.origin), now, expiry(now));
  switch (rotation.outcome) {
    case 'done': {
      const tokens = await tokensFor(parts.tokenKeys, rotation.user, rotation.sessionId, next.token, request.issuer);
      return { tokens, user: shownUser(rotation.user) };
    }
    case 'reused':
      telemetry.refreshTokenReused(logger, uuidToId('ses', rotation.sessionId));
      throw sessionOver();
    case 'invalid':
      throw sessionOver();
  }
}

function sessionOver() {
  return errors.INVALID_TOKEN({ message: 'The session is over. Log in again.' });
}

async function tokensFor(tokenKeys: TokenKeys, user: StoredUser, sessionId: string, refreshToken: string, issuer: string): Promise<Tokens> {
  const accessToken = await tokenKeys.sign({
    issuer,
    subject: uuidToId('usr', user.id),
    sessionId: uuidToId('ses', sessionId),
    tenantId: uuidToId('ten', user.tenantId),
    role: user.role,
  });
  return { accessToken, expiresInS: accessTokenS, refreshToken, refreshExpiresInS: refreshTokenS };
}

function expiry(now: Date): Date {
  return new Date(now.getTime() + refreshTokenS * 1000);
}
