// CompletePasswordReset: a password by a one-time link.
import type { CompletePasswordResetRequest, CompletePasswordResetResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidToId } from '@maildoot/runtime/ids';
import { completePasswordReset as complete } from '../passwords.ts';
import type { SessionParts } from '../sessions.ts';
import { telemetry } from '../telemetry.ts';

export function completePasswordReset(parts: SessionParts) {
  return async (request: CompletePasswordResetRequest, call: RpcCall): Promise<CompletePasswordResetResponse> => {
    const user = await complete(parts, request);
    telemetry.passwordSet(call.logger, uuidToId('usr', user.id));
    return {};
  };
}
