// DeleteSmtpUser: ends a user. A foreign one is as missing as one that never was.
import type { DeleteSmtpUserRequest, DeleteSmtpUserResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { manageable, noSuchUser } from '../manageable-smtp-user.ts';
import type { SmtpUsers } from '../store/smtp-users.ts';

export function deleteSmtpUser({ smtpUsers }: { smtpUsers: SmtpUsers }) {
  return async (request: DeleteSmtpUserRequest, call: RpcCall): Promise<DeleteSmtpUserResponse> => {
    const tenantId = callingTenant(call);
    const user = await manageable(smtpUsers, tenantId, request);
    const entry = {
      tenantId,
      action: 'smtp_user.deleted',
      actorId: request.actorId,
      subjectId: request.id,
      address: request.address,
    } as const;
    if (!(await smtpUsers.remove(tenantId, user.id, entry))) throw noSuchUser();
    return {};
  };
}
