// ReleaseTenant: ends a suspension.
import type { ReleaseTenantRequest, ReleaseTenantResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import type { RpcCall } from '@maildoot/rpc/server';
import { noSuchTenant, shownTenant, tenantUuid } from '../shown-tenant.ts';
import type { Tenants } from '../store/tenants.ts';
import { telemetry } from '../telemetry.ts';

export function releaseTenant({ tenants }: { tenants: Tenants }) {
  return async (request: ReleaseTenantRequest, call: RpcCall): Promise<ReleaseTenantResponse> => {
    const id = tenantUuid(request.tenantId);
    const tenant = await tenants.release(id, { tenantId: id, action: 'tenant.released', actorId: 'operator', subjectId: '' });
    if (tenant === undefined) throw noSuchTenant();
    telemetry.tenantReleased(call.logger, request.tenantId);
    return { tenant: shownTenant(tenant) };
  };
}
