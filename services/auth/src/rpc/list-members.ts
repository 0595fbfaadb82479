// ListMembers: the tenant's people, newest first.
import type { ListMembersRequest, ListMembersResponse } from '@maildoot/proto/maildoot/auth/v1/team';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { pageOf, withMore } from '../page.ts';
import { shownUser } from '../shown-user.ts';
import type { People } from '../store/people.ts';

export function listMembers({ people }: { people: People }) {
  return async (request: ListMembersRequest, call: RpcCall): Promise<ListMembersResponse> => {
    const tenantId = callingTenant(call);
    const { rows, hasMore } = await withMore(pageOf('usr', request), (page) => people.members(tenantId, page));
    return { members: rows.map(shownUser), hasMore };
  };
}
