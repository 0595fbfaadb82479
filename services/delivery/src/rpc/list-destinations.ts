// RPC ListDestinations: for the operator. Counts every row of the queue once, which takes a second at a million of them.
import type { Database } from '@maildoot/db/database';
import type { ListDestinationsRequest, ListDestinationsResponse } from '@maildoot/proto/maildoot/delivery/v1/destination';
import type { Clock } from '@maildoot/runtime/clock';
import { unresolvedPrefix } from '../route.ts';
import { listDestinations as listInStore } from '../store/destination.ts';

const defaultLimit = 100;
const maxLimit = 1_000;

export function listDestinations({ database, clock }: { database: Database; clock: Clock }) {
  return async (request: ListDestinationsRequest): Promise<ListDestinationsResponse> => {
    const limit = Math.min(request.limit || defaultLimit, maxLimit);
    const rows = await listInStore(database, clock.now(), limit + 1);
    return {
      destinations: rows.slice(0, limit).map((row) => {
        const resolved = !row.name.startsWith(unresolvedPrefix);
        return {
          name: resolved ? row.name : row.name.slice(unresolvedPrefix.length),
          resolved,
          due: BigInt(row.due),
          later: BigInt(row.later),
          underWay: BigInt(row.underWay),
          suspended: BigInt(row.suspended),
          tenants: row.tenants,
          oldestDueAt: row.oldestDueAt ?? undefined,
          backOffUntil: row.backOffUntil ?? undefined,
          failures: row.failures ?? 0,
        };
      }),
      hasMore: rows.length > limit,
    };
  };
}
