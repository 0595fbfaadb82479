// ChangePassword: a new one in place of the current one.
import type { ChangePasswordRequest, ChangePasswordResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { changePassword as change } from '../passwords.ts';
import type { SessionParts } from '../sessions.ts';

export function changePassword(parts: SessionParts) {
  return async (request: ChangePasswordRequest, call: RpcCall): Promise<ChangePasswordResponse> => {
    await change(parts, callingTenant(call), request);
    return {};
  };
}
