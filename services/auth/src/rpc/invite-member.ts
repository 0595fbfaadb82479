// InviteMember: a user without a password, and the mail that invites them to set one.
import { normaliseEmail } from '@maildoot/mail/address';
import { type InviteMemberRequest, InviteMemberResponse } from '@maildoot/proto/maildoot/auth/v1/team';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { guessed, type Pace, paces } from '../guessing.ts';
import { repeatableOf, storedAnswer } from '../idempotent-answer.ts';
import { linkLifetimeMs } from '../passwords.ts';
import { roleName, shownUser } from '../shown-user.ts';
import type { Guesses } from '../store/guesses.ts';
import type { People } from '../store/people.ts';
import type { Store } from '../store.ts';

const operation = 'invite_member';

export interface InvitationParts {
  people: People;
  guesses: Guesses;
  store: Store;
  clock: Clock;
}

export function inviteMember({ people, guesses, store, clock }: InvitationParts, kept: () => void) {
  return async (request: InviteMemberRequest, call: RpcCall): Promise<InviteMemberResponse> => {
    const tenantId = callingTenant(call);
    const now = clock.now();
    const repeatable = repeatableOf(request);
    const once = repeatable && { tenantId, operation, ...repeatable };
    if (once !== undefined) {
      const finding = await store.findAnswer(once, now);
      if (finding.outcome !== 'absent') return replay(storedAnswer(finding));
    }
    const { email, role } = checked(request);
    const user = {
      id: newUuid(),
      tenantId,
      email,
      emailFolded: email.toLowerCase(),
      role,
      createdAt: now,
      passwordHash: null,
      lastLoginAt: null,
    };
    // Each is mail to somebody who may not want it.
    await countInvitation(guesses, guessed('inviter', tenantId), paces.inviter, now);
    await countInvitation(guesses, guessed('invitation', user.emailFolded), paces.invitation, now);
    const response: InviteMemberResponse = { member: shownUser(user), replayed: false };
    const outcome = await people.insertMember(
      user,
      request.publicUrl,
      {
        tenantId,
        action: 'member.invited',
        actorId: request.actorId,
        subjectId: uuidToId('usr', user.id),
        address: request.address,
        detail: role,
      },
      once && { ...once, response: InviteMemberResponse.encode(response).finish() },
      now,
      new Date(now.getTime() - linkLifetimeMs.invitation),
    );
    if (outcome.outcome === 'is_member') throw errors.CONFLICT({ message: 'This address is a member’s already.' });
    if (outcome.outcome !== 'done') return replay(storedAnswer(outcome));
    kept();
    return response;
  };
}

/** @throws RpcError RATE_LIMITED */
async function countInvitation(guesses: Guesses, subject: Buffer, pace: Pace, now: Date): Promise<void> {
  const retryAfterMs = await guesses.count(subject, pace, now);
  if (retryAfterMs > 0) throw errors.RATE_LIMITED({ message: 'Too many invitations. Go on after Retry-After.', retryAfterMs });
}

function replay(stored: Buffer): InviteMemberResponse {
  return { ...InviteMemberResponse.decode(stored), replayed: true };
}

function checked(request: InviteMemberRequest): { email: string; role: 'owner' | 'member' | 'viewer' } {
  const issues: Issue[] = [];
  const email = normaliseEmail(request.email);
  if (email === undefined) issues.push({ path: 'email', code: 'invalid_email', message: 'Give an address like name@example.com.' });
  const role = roleName(request.role);
  if (role === undefined) issues.push({ path: 'role', code: 'invalid_value', message: 'Give one of owner, member, viewer.' });
  if (email === undefined || role === undefined)
    throw errors.VALIDATION_ERROR({ message: 'Nobody can be invited like this; the issues say why.', issues });
  return { email, role };
}
