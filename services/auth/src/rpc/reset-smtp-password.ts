// ResetSmtpPassword: a new password, shown once; the old one ends at once.
import type { ResetSmtpPasswordRequest, ResetSmtpPasswordResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { manageable, noSuchUser } from '../manageable-smtp-user.ts';
import { newSmtpPassword, shownSmtpUser } from '../smtp-user.ts';
import type { SmtpUsers } from '../store/smtp-users.ts';

export function resetSmtpPassword({ smtpUsers }: { smtpUsers: SmtpUsers }) {
  return async (request: ResetSmtpPasswordRequest, call: RpcCall): Promise<ResetSmtpPasswordResponse> => {
    const tenantId = callingTenant(call);
    const user = await manageable(smtpUsers, tenantId, request);
    const { password, sha256 } = newSmtpPassword(user.username);
    const entry = { tenantId, action: 'smtp_user.password_reset', actorId: request.actorId, subjectId: request.id } as const;
    if (!(await smtpUsers.replacePassword(tenantId, user.id, sha256, entry))) throw noSuchUser();
    return { smtpUser: shownSmtpUser(user), password };
  };
}
