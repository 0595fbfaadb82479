// A tenant as the operator sees it.
import type { Tenant } from '@maildoot/proto/maildoot/auth/v1/operator';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';
import type { StoredTenant } from './store/tenants.ts';

export function shownTenant(tenant: StoredTenant): Tenant {
  return {
    id: uuidToId('ten', tenant.id),
    name: tenant.name,
    createdAt: tenant.createdAt,
    suspendedAt: tenant.suspendedAt ?? undefined,
    suspensionReason: tenant.suspensionReason ?? '',
    quotas: {
      messagesPerDay: BigInt(tenant.messagesPerDay ?? 0),
      requestsPerMinute: tenant.requestsPerMinute ?? 0,
      sendsPerMinute: tenant.sendsPerMinute ?? 0,
    },
    ownerEmail: tenant.ownerEmail ?? '',
  };
}

/** @throws RpcError NOT_FOUND */
export function tenantUuid(id: string): string {
  const uuid = idToUuid('ten', id);
  if (uuid === undefined) throw noSuchTenant();
  return uuid;
}

export function noSuchTenant() {
  return errors.NOT_FOUND({ message: 'There is no such tenant.' });
}
