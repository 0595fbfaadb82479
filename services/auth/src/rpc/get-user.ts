// GetUser: who somebody is.
import type { GetUserRequest, GetUserResponse } from '@maildoot/proto/maildoot/auth/v1/user';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { numberedUser } from '../numbered-user.ts';
import { shownUser } from '../shown-user.ts';
import type { PersonalAccessTokens } from '../store/personal-access-tokens.ts';

export function getUser({ tokens }: { tokens: PersonalAccessTokens }) {
  return async ({ userId }: GetUserRequest, call: RpcCall): Promise<GetUserResponse> => {
    const user = await numberedUser(tokens, callingTenant(call), userId);
    return { user: shownUser(user), number: user.number, suspended: user.suspended };
  };
}
