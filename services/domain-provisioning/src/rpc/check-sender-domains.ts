// CheckSenderDomains: which of these domains the tenant may send from.

import { normaliseDomain } from '@maildoot/mail/domain';
import type { CheckSenderDomainsRequest, CheckSenderDomainsResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import type { Store } from '../store.ts';

export function checkSenderDomains({ store }: { store: Store }) {
  return async (request: CheckSenderDomainsRequest, call: RpcCall): Promise<CheckSenderDomainsResponse> => {
    const names = new Map(request.domains.map((domain) => [domain, normaliseDomain(domain)]));
    const known = [...new Set([...names.values()].filter((name) => name !== undefined))];
    const verified = new Set(await store.verifiedAmong(callingTenant(call), known));
    // As they were asked for, so that the caller finds them again.
    return { verified: [...names].filter(([, name]) => name !== undefined && verified.has(name)).map(([domain]) => domain) };
  };
}
