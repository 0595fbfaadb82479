// Every RPC of delivery is about one tenant, whom the caller names beside the request.
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';

/** The tenant's uuid. Throws VALIDATION_ERROR. */
export function callingTenant(call: Pick<RpcCall, 'tenantId'>): string {
  const tenantId = idToUuid('ten', call.tenantId);
  if (tenantId === undefined) throw errors.VALIDATION_ERROR({ message: 'The call names no tenant.' });
  return tenantId;
}
