// AuthenticateSession: who a session belongs to, and whether it still lasts. The gateway has checked the signature of the token that names it.

import { CredentialKind, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { AuthenticateSessionRequest, AuthenticateSessionResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { roleOf } from '../shown-user.ts';
import type { People } from '../store/people.ts';

export function authenticateSession({ people, clock }: { people: People; clock: Clock }) {
  return async ({ sessionId }: AuthenticateSessionRequest): Promise<AuthenticateSessionResponse> => {
    const id = idToUuid('ses', sessionId);
    const holder = id === undefined ? undefined : await people.holder(id, clock.now());
    if (holder === undefined) throw errors.INVALID_TOKEN({ message: 'The session is over. Log in again.' });
    return {
      principal: {
        tenantId: uuidToId('ten', holder.tenantId),
        apiKeyId: '',
        scope: Scope.SCOPE_UNSPECIFIED,
        allowedIps: [],
        allowedDomains: [],
        expiresAt: undefined,
        kind: CredentialKind.CREDENTIAL_KIND_SESSION,
        userId: uuidToId('usr', holder.userId),
        role: roleOf(holder.role),
        suspended: holder.suspended,
        dailyLimit: 0,
      },
    };
  };
}
