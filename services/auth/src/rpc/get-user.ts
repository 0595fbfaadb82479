// GetUser: who somebody is.
import type { GetUserRequest, GetUserResponse } from '@maildoot/proto/maildoot/auth/v1/user';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { numberedUser } from '../numbered-user.ts';
import { shownUser } from '../shown-user.ts';
import type { People } from '../store/people.ts';

export function getUser({ people }: { people: People }) {
  return async ({ userId }: GetUserRequest, call: RpcCall): Promise<GetUserResponse> => {
    const user = await numberedUser(people, callingTenant(call), userId);
    return { user: shownUser(user), number: user.number, suspended: user.suspended };
  };
}
