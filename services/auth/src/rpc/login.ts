// Login: a password for a session.
import type { LoginRequest, LoginResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import { login as begin, type SessionParts } from '../sessions.ts';
import { telemetry } from '../telemetry.ts';

export function login(parts: SessionParts) {
  return async (request: LoginRequest, call: RpcCall): Promise<LoginResponse> => {
    const response = await begin(parts, request, call.logger);
    telemetry.loggedIn(call.logger, response.user?.id ?? '');
    return response;
  };
}
