// CreateTenant: for the operator's tools and standalone.

import type { CreateTenantRequest, CreateTenantResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { createTenant as create } from '../create-tenant.ts';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

export function createTenant(maker: { store: Store; clock: Clock }) {
  return async (request: CreateTenantRequest, call: RpcCall): Promise<CreateTenantResponse> => {
    const response = await create(maker, request);
    telemetry.tenantCreated(call.logger, response.tenantId, response.userId);
    return response;
  };
}
