// SuspendTenant: the tenant may look, and do nothing.
import type { SuspendTenantRequest, SuspendTenantResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { noSuchTenant, shownTenant, tenantUuid } from '../shown-tenant.ts';
import type { Tenants } from '../store/tenants.ts';
import { telemetry } from '../telemetry.ts';

const maxReasonChars = 500;

export function suspendTenant({ tenants, clock }: { tenants: Tenants; clock: Clock }) {
  return async (request: SuspendTenantRequest, call: RpcCall): Promise<SuspendTenantResponse> => {
    const id = tenantUuid(request.tenantId);
    const reason = request.reason.slice(0, maxReasonChars);
    const entry = { tenantId: id, action: 'tenant.suspended', actorId: 'operator', subjectId: '', detail: reason } as const;
    const tenant = await tenants.suspend(id, reason, clock.now(), entry);
    if (tenant === undefined) throw noSuchTenant();
    telemetry.tenantSuspended(call.logger, request.tenantId);
    return { tenant: shownTenant(tenant) };
  };
}
