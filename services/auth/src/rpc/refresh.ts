// Refresh: the next pair of tokens of a session.
import type { RefreshRequest, RefreshResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import { refresh as next, type SessionParts } from '../sessions.ts';

export function refresh(parts: SessionParts) {
  return (request: RefreshRequest, call: RpcCall): Promise<RefreshResponse> => next(parts, request, call.logger);
}
