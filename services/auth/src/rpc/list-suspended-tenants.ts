// ListSuspendedTenants: for delivery, which keeps what is queued for them.
import type { ListSuspendedTenantsRequest, ListSuspendedTenantsResponse } from '@maildoot/proto/maildoot/auth/v1/standing';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Tenants } from '../store/tenants.ts';

export function listSuspendedTenants({ tenants }: { tenants: Tenants }) {
  return async (_request: ListSuspendedTenantsRequest): Promise<ListSuspendedTenantsResponse> => ({
    tenantIds: (await tenants.suspended()).map((id) => uuidToId('ten', id)),
  });
}
