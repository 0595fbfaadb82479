// GetDomain: one domain as it was seen last.

import type { GetDomainRequest, GetDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { callingTenant } from '../calling-tenant.ts';
import { parseDomainName } from '../domain-name.ts';
import { noSuchDomain } from '../errors.ts';
import type { Hosts } from '../records.ts';
import { shownDomain } from '../shown-domain.ts';
import type { Store } from '../store.ts';

export function getDomain({ store, hosts, clock }: { store: Store; hosts: Hosts; clock: Clock }) {
  return async (request: GetDomainRequest, call: RpcCall): Promise<GetDomainResponse> => {
    const tenantId = callingTenant(call);
    const name = parseDomainName(request.domain);
    const domain = name.ok ? await store.findDomain(tenantId, name.name) : undefined;
    // What can't be a domain is as missing as another tenant's.
    if (domain === undefined) throw noSuchDomain();
    return { domain: shownDomain(domain, hosts, clock.now()) };
  };
}
