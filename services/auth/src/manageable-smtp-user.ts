// A tenant's SMTP user, for a caller who may manage it: nobody manages one with wider limits than their own.
import type { KeyLimits } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcError } from '@maildoot/rpc/errors';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';
import { isWithin } from './key-limits.ts';
import type { SmtpUsers, StoredSmtpUser } from './store/smtp-users.ts';

/** @throws RpcError NOT_FOUND, INSUFFICIENT_SCOPE */
export async function manageable(
  smtpUsers: SmtpUsers,
  tenantId: string,
  { id, callerLimits }: { id: string; callerLimits: KeyLimits | undefined },
): Promise<StoredSmtpUser> {
  const uuid = idToUuid('smu', id);
  const user = uuid === undefined ? undefined : await smtpUsers.find(tenantId, uuid);
  if (user === undefined) throw noSuchUser();
  const { allowedIps, domain, dailyLimit } = user;
  const limits = { allowedIps, allowedDomains: domain === '' ? [] : [domain], expiresAt: null, dailyLimit, test: false };
  if (!isWithin(limits, callerLimits))
    throw errors.INSUFFICIENT_SCOPE({ message: 'A key can’t manage an SMTP user with wider limits than its own.' });
  return user;
}

export function noSuchUser(): RpcError {
  return errors.NOT_FOUND({ message: 'There is no SMTP user with this id.' });
}
