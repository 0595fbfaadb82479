// GetMailHosts: the hosts below a domain that lead to us, for MAIL FROM addresses and tracked links.

import { normaliseDomain } from '@maildoot/mail/domain';
import type { GetMailHostsRequest, GetMailHostsResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { returnPathName, trackingName } from '../records.ts';
import type { Store } from '../store.ts';

export function getMailHosts({ store }: { store: Store }) {
  return async (request: GetMailHostsRequest, call: RpcCall): Promise<GetMailHostsResponse> => {
    const tenantId = callingTenant(call);
    const name = normaliseDomain(request.domain);
    // Unknown, another tenant's, not verified, or without such records: there is a host of the installation's own for all of these.
    if (name === undefined) return { returnPathHost: '', trackingHost: '' };
    const { returnPath, tracking } = await store.verifiedHosts(tenantId, name);
    return { returnPathHost: returnPath ? returnPathName(name) : '', trackingHost: tracking ? trackingName(name) : '' };
  };
}
