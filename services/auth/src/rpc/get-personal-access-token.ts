// GetPersonalAccessToken: a user's token, in the clear. Who looked is in the audit log before it is shown.
import type { GetPersonalAccessTokenRequest, GetPersonalAccessTokenResponse } from '@maildoot/proto/maildoot/auth/v1/user';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { callingTenant } from '../calling-tenant.ts';
import { numberedUser } from '../numbered-user.ts';
import { openToken } from '../personal-access-token.ts';
import type { People } from '../store/people.ts';
import type { PersonalAccessTokens } from '../store/personal-access-tokens.ts';

export function getPersonalAccessToken({ people, tokens, sealer }: { people: People; tokens: PersonalAccessTokens; sealer: Sealer }) {
  return async (request: GetPersonalAccessTokenRequest, call: RpcCall): Promise<GetPersonalAccessTokenResponse> => {
    const tenantId = callingTenant(call);
    const user = await numberedUser(people, tenantId, request.userId);
    const { actorId, address } = request;
    const token = await tokens.read(tenantId, user.id, {
      tenantId,
      action: 'personal_access_token.read',
      actorId,
      subjectId: uuidToId('usr', user.id),
      address,
    });
    if (token === undefined) return { token: undefined };
    return { token: { userNumber: user.number, value: openToken(sealer, token.sealedValue, user), createdAt: token.createdAt } };
  };
}
