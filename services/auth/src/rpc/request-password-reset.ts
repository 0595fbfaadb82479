// RequestPasswordReset: keeps the wish for a link; the job that sends notices looks whose it is.
import type { RequestPasswordResetRequest, RequestPasswordResetResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import { requestPasswordReset as keep } from '../passwords.ts';
import type { SessionParts } from '../sessions.ts';

export function requestPasswordReset(parts: SessionParts, kept: () => void) {
  return async (request: RequestPasswordResetRequest): Promise<RequestPasswordResetResponse> => {
    await keep(parts, request);
    kept();
    return {};
  };
}
