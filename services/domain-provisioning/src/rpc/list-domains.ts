// ListDomains: a page of the tenant's domains, newest first.

import type { ListDomainsRequest, ListDomainsResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import type { Hosts } from '../records.ts';
import { shownDomain } from '../shown-domain.ts';
import type { Store } from '../store.ts';

const defaultLimit = 20;
const maxLimit = 100;

export function listDomains({ store, hosts, clock }: { store: Store; hosts: Hosts; clock: Clock }) {
  return async (request: ListDomainsRequest, call: RpcCall): Promise<ListDomainsResponse> => {
    const limit = request.limit === 0 ? defaultLimit : Math.min(request.limit, maxLimit);
    // One more than asked for tells whether there is a next page.
    const domains = await store.listDomains(callingTenant(call), { limit: limit + 1, afterId: positionOf(request.afterId) });
    return { domains: domains.slice(0, limit).map((domain) => shownDomain(domain, hosts, clock.now())), hasMore: domains.length > limit };
  };
}

/** An id is a position in time: it needs no row. */
function positionOf(afterId: string): string | undefined {
  if (afterId === '') return undefined;
  const uuid = idToUuid('dom', afterId);
  if (uuid !== undefined) return uuid;
  const issue = { path: 'cursor', code: 'invalid_cursor', message: 'Give the next_cursor of the page before, or leave it out.' };
  throw errors.VALIDATION_ERROR({ message: 'The list can’t go on from there.', issues: [issue] });
}
