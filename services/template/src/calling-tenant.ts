// The tenant on whose behalf a call is made, as the database knows it.

import { idToUuid } from '@maildoot/runtime/ids';

/** Throws without one: the gateway always has a tenant by then, so its absence is a mistake of ours and no customer's. */
export function callingTenant(call: { tenantId: string }): string {
  const uuid = idToUuid('ten', call.tenantId);
  if (uuid === undefined) throw new Error('the call names no tenant');
  return uuid;
}
