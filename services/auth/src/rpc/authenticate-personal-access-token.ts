// AuthenticatePersonalAccessToken: who a token belongs to. It may what its user may, so what is told of it is what is told of a session.
import { CredentialKind, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import type {
  AuthenticatePersonalAccessTokenRequest,
  AuthenticatePersonalAccessTokenResponse,
} from '@maildoot/proto/maildoot/auth/v1/user';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidToId } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { roleOf } from '../shown-user.ts';
import type { EntryToStore } from '../store/audit.ts';
import type { PersonalAccessTokens } from '../store/personal-access-tokens.ts';
import { telemetry } from '../telemetry.ts';

export interface AuthenticatePersonalAccessTokenParts {
  tokens: PersonalAccessTokens;
  /** For the owner's audit log. */
  note: (entry: EntryToStore) => void;
}

export function authenticatePersonalAccessToken({ tokens, note }: AuthenticatePersonalAccessTokenParts) {
  return async (
    { tokenSha256, address }: AuthenticatePersonalAccessTokenRequest,
    call: RpcCall,
  ): Promise<AuthenticatePersonalAccessTokenResponse> => {
    const holder = await tokens.holder(tokenSha256);
    const userId = holder === undefined ? '' : uuidToId('usr', holder.userId);
    const over = holder !== undefined && (holder.revokedAt !== null || holder.role === null);
    telemetry.tokenPresented(call.logger, holder === undefined ? 'unknown' : over ? 'revoked' : 'ok', userId);
    if (over) {
      const { tenantId } = holder;
      note({ tenantId, action: 'personal_access_token.refused', actorId: '', subjectId: userId, address, detail: 'revoked' });
    }
    if (holder === undefined || over || holder.role === null)
      throw errors.INVALID_TOKEN({ message: 'The credential is not valid. Read the token again, or make a new one.' });
    return {
      principal: {
        tenantId: uuidToId('ten', holder.tenantId),
        apiKeyId: '',
        scope: Scope.SCOPE_UNSPECIFIED,
        allowedIps: [],
        allowedDomains: [],
        expiresAt: undefined,
        kind: CredentialKind.CREDENTIAL_KIND_PAT,
        userId,
        role: roleOf(holder.role),
        suspended: holder.suspended,
        dailyLimit: 0,
      },
    };
  };
}
