// DeleteDomain: gives a claim up, with its keys.

import type { DeleteDomainRequest, DeleteDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { parseDomainName } from '../domain-name.ts';
import { noSuchDomain } from '../errors.ts';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

export function deleteDomain({ store }: { store: Store }) {
  return async (request: DeleteDomainRequest, call: RpcCall): Promise<DeleteDomainResponse> => {
    const tenantId = callingTenant(call);
    const name = parseDomainName(request.domain);
    if (!name.ok || !(await store.deleteDomain(tenantId, name.name))) throw noSuchDomain();
    telemetry.deleted(call.logger, name.name);
    return {};
  };
}
