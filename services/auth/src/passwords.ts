// How a person gets a password, or another one: by the current one, or by a one-time link that only the owner of the address reads.
import { normaliseEmail } from '@maildoot/mail/address';
import type {
  ChangePasswordRequest,
  CompletePasswordResetRequest,
  RequestPasswordResetRequest,
} from '@maildoot/proto/maildoot/auth/v1/session';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';
import { guessed, paces } from './guessing.ts';
import { checkPassword, hashPassword, isPassword } from './password.ts';
import { newSecretToken, sha256OfToken } from './secret-token.ts';
import { countTry, from, type SessionParts, wrongCredentials } from './sessions.ts';
import type { EntryToStore } from './store/audit.ts';
import type { StoredUser } from './store/people.ts';

/** The link of a mail that was asked for, of an invitation, and of the operator. */
export const linkLifetimeMs = { password_reset: 60 * 60_000, invitation: 7 * 24 * 60 * 60_000, operator: 24 * 60 * 60_000 } as const;

export function changePassword(parts: SessionParts, tenantId: string, request: ChangePasswordRequest): Promise<void> {
  return parts.gate.pass(() => changeInside(parts, tenantId, request));
}

async function changeInside(parts: SessionParts, tenantId: string, request: ChangePasswordRequest): Promise<void> {
  const { people, guesses, clock } = parts;
  const userId = idToUuid('usr', request.userId);
  const user = userId === undefined ? undefined : await people.user(tenantId, userId);
  if (user === undefined) throw errors.NOT_FOUND({ message: 'There is no such user.' });
  refuseWith(checkPassword(request.newPassword, 'new_password', user.email.toLowerCase()));

  const { address } = from(request.origin);
  const tried = await countTry(parts, user.email.toLowerCase(), address, clock.now());
  const compared = user.passwordHash ?? undefined;
  if (!(await isPassword(request.currentPassword, compared)).ok || compared === undefined) {
    parts.note({ tenantId, action: 'password.change_failed', actorId: request.userId, subjectId: request.userId, address });
    throw wrongCredentials();
  }
  await guesses.forgive(tried.account);
  await guesses.takeBack(tried.address);
  const changed = await people.changePassword(
    user,
    { compared, next: await hashPassword(request.newPassword) },
    idToUuid('ses', request.keepSessionId),
    { tenantId, action: 'password.changed', actorId: request.userId, subjectId: request.userId, address },
    clock.now(),
  );
  // It was set anew since it was compared.
  if (!changed) throw wrongCredentials();
}

/** Keeps the wish. Whether the address has an account is looked at later, by the job that sends: the answer takes as long without one. */
export function requestPasswordReset(parts: SessionParts, request: RequestPasswordResetRequest): Promise<void> {
  return parts.gate.pass(() => keepWish(parts, request));
}

async function keepWish({ people, guesses, clock }: SessionParts, request: RequestPasswordResetRequest): Promise<void> {
  const now = clock.now();
  const { address } = from(request.origin);
  const waitMs = await guesses.count(guessed('address', address), paces.address, now);
  if (waitMs > 0) throw errors.RATE_LIMITED({ message: 'Too many tries. Go on after Retry-After.', retryAfterMs: waitMs });
  const email = normaliseEmail(request.email);
  if (email === undefined) return;
  const emailFolded = email.toLowerCase();
  // Whoever floods somebody's mailbox gets the same answer and sends nothing.
  if ((await guesses.count(guessed('reset', emailFolded), paces.reset, now)) > 0) return;
  await people.insertPasswordReset(emailFolded, request.publicUrl, now);
}

export function completePasswordReset(parts: SessionParts, request: CompletePasswordResetRequest): Promise<StoredUser> {
  return parts.gate.pass(() => completeInside(parts, request));
}

async function completeInside(parts: SessionParts, request: CompletePasswordResetRequest): Promise<StoredUser> {
  const { people, guesses, clock } = parts;
  const sha256 = sha256OfToken('otl_', request.token);
  // Before any work: a link can't be guessed, and a password is not derived for who has none.
  const user = sha256 === undefined ? undefined : await people.userOfLink(sha256, clock.now());
  if (sha256 === undefined || user === undefined) throw linkOver();
  refuseWith(checkPassword(request.newPassword, 'new_password', user.email.toLowerCase()));
  const userId = uuidToId('usr', user.id);
  const entry = {
    tenantId: user.tenantId,
    action: 'password.set',
    actorId: userId,
    subjectId: userId,
    address: from(request.origin).address,
  } as const;
  if (!(await people.useLink(sha256, user, await hashPassword(request.newPassword), entry, clock.now()))) throw linkOver();
  await guesses.forgive(guessed('account', user.email.toLowerCase()));
  return user;
}

/** A link for this user. Only its hash is kept. */
export async function makeLink(
  { people, clock }: Pick<SessionParts, 'people' | 'clock'>,
  user: StoredUser,
  why: keyof typeof linkLifetimeMs,
): Promise<{ token: string; expiresAt: Date }> {
  const { token, sha256 } = newSecretToken('otl_');
  const now = clock.now();
  const expiresAt = new Date(now.getTime() + linkLifetimeMs[why]);
  await people.insertLink(sha256, user.id, now, expiresAt, entryOfLink(user, why));
  return { token, expiresAt };
}

/**
 * None for an invitation, which is in the log itself, and none for who hasn't come yet: with the address of another tenant's person there is no
 * link, and whoever invites is to see no difference.
 */
function entryOfLink({ id, tenantId, passwordHash }: StoredUser, why: keyof typeof linkLifetimeMs): EntryToStore | undefined {
  const subjectId = uuidToId('usr', id);
  if (why === 'operator') return { tenantId, action: 'password.link_created', actorId: 'operator', subjectId };
  if (why === 'invitation' || passwordHash === null) return undefined;
  return { tenantId, action: 'password.reset_requested', actorId: '', subjectId };
}

function linkOver() {
  return errors.INVALID_TOKEN({ message: 'The link is not good any more. Ask for another one.' });
}

function refuseWith(issues: readonly Issue[]): void {
  if (issues.length > 0) throw errors.VALIDATION_ERROR({ message: 'This can’t be the password; the issues say why.', issues });
}
