// ListTenants: for the operator.
import type { ListTenantsRequest, ListTenantsResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import { pageOf, withMore } from '../page.ts';
import { shownTenant } from '../shown-tenant.ts';
import type { Tenants } from '../store/tenants.ts';

export function listTenants({ tenants }: { tenants: Tenants }) {
  return async (request: ListTenantsRequest): Promise<ListTenantsResponse> => {
    const { rows, hasMore } = await withMore(pageOf('ten', request), (page) => tenants.list(page));
    return { tenants: rows.map(shownTenant), hasMore };
  };
}
