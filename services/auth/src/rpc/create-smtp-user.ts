// CreateSmtpUser: a name and a password for submission, shown once.
import { type CreateSmtpUserRequest, CreateSmtpUserResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { repeatableOf } from '../idempotent-answer.ts';
import { isWithin } from '../key-limits.ts';
import { sealedAnswers } from '../sealed-answer.ts';
import { checkNewSmtpUser, folded, newSmtpPassword, shownSmtpUser } from '../smtp-user.ts';
import type { SmtpUsers } from '../store/smtp-users.ts';
import type { Store } from '../store.ts';

const operation = 'create_smtp_user';

export interface SmtpUserMaker {
  smtpUsers: SmtpUsers;
  store: Store;
  sealer: Sealer;
  clock: Clock;
}

export function createSmtpUser(maker: SmtpUserMaker) {
  const { smtpUsers, clock } = maker;
  return async (request: CreateSmtpUserRequest, call: RpcCall): Promise<CreateSmtpUserResponse> => {
    const tenantId = callingTenant(call);
    const now = clock.now();
    const checked = checkNewSmtpUser(request);
    if (!checked.ok)
      throw errors.VALIDATION_ERROR({ message: 'The user can’t be made like this; the issues say why.', issues: checked.issues });
    const { username, domain, allowedIps, dailyLimit } = checked.value;
    const wanted = { allowedIps, allowedDomains: domain === '' ? [] : [domain], expiresAt: null, dailyLimit, test: false };
    // Ten users of a key's own limit each would be ten times its limit.
    if ((request.callerLimits?.dailyLimit ?? 0) > 0 || !isWithin(wanted, request.callerLimits)) {
      throw errors.INSUFFICIENT_SCOPE({
        message:
          'A key can’t make a user with wider limits than its own, and none at all where it has a daily_limit or expires_at, or is a test key.',
      });
    }
    // Who may not make it may not see it either.
    const answers = sealedAnswers(maker, CreateSmtpUserResponse, { tenantId, operation, now }, repeatableOf(request));
    const before = await answers.before();
    if (before !== undefined) return before;
    const { password, sha256 } = newSmtpPassword(username);
    const user = { id: newUuid(), tenantId, username, domain, allowedIps, dailyLimit, createdAt: now };
    const subjectId = uuidToId('smu', user.id);
    const entry = { tenantId, action: 'smtp_user.created', actorId: request.actorId, subjectId, address: request.address } as const;
    const response: CreateSmtpUserResponse = { smtpUser: shownSmtpUser({ ...user, lastUsedAt: null }), password, replayed: false };
    const once = await smtpUsers.insert({ ...user, usernameFolded: folded(username), sha256 }, entry, answers.toKeep(response));
    if (once.outcome === 'username_taken') {
      const issue = { path: 'username', code: 'username_taken', message: 'Choose another one.' };
      throw errors.USERNAME_TAKEN({ message: 'Somebody on this installation has this username already.', issues: [issue] });
    }
    return once.outcome === 'done' ? response : answers.instead(once);
  };
}
