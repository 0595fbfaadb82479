// AuthenticateSmtpUser: who a name and a password belong to. One answer for a name that is nobody's and a password that isn't its.
import { CredentialKind, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { AuthenticateSmtpUserRequest, AuthenticateSmtpUserResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { uuidToId } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import type { LastUsed } from '../last-used.ts';
import type { SmtpUsers } from '../store/smtp-users.ts';

export function authenticateSmtpUser({ smtpUsers, lastUsed }: { smtpUsers: SmtpUsers; lastUsed: LastUsed }) {
  return async ({ credentialSha256 }: AuthenticateSmtpUserRequest): Promise<AuthenticateSmtpUserResponse> => {
    const user = await smtpUsers.findBySha256(credentialSha256);
    if (user === undefined) throw errors.INVALID_TOKEN({ message: 'The name and the password do not belong together.' });
    lastUsed.note(user.id, user.lastUsedAt);
    return {
      principal: {
        tenantId: uuidToId('ten', user.tenantId),
        apiKeyId: '',
        scope: Scope.SCOPE_SEND,
        allowedIps: user.allowedIps,
        allowedDomains: user.domain === '' ? [] : [user.domain],
        expiresAt: undefined,
        kind: CredentialKind.CREDENTIAL_KIND_SMTP_USER,
        userId: '',
        role: Role.ROLE_UNSPECIFIED,
        suspended: user.suspended,
        dailyLimit: user.dailyLimit,
      },
      smtpUserId: uuidToId('smu', user.id),
    };
  };
}
