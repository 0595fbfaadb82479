// ListSessions: the sessions of a user that last, newest first.
import type { ListSessionsRequest, ListSessionsResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { pageOf, withMore } from '../page.ts';
import type { People } from '../store/people.ts';

export function listSessions({ people, clock }: { people: People; clock: Clock }) {
  return async (request: ListSessionsRequest, call: RpcCall): Promise<ListSessionsResponse> => {
    const tenantId = callingTenant(call);
    const userId = idToUuid('usr', request.userId);
    if (userId === undefined) return { sessions: [], hasMore: false };
    const { rows, hasMore } = await withMore(pageOf('ses', request), (page) => people.sessions(tenantId, userId, page, clock.now()));
    return {
      sessions: rows.map(({ id, createdAt, lastUsedAt, expiresAt, address, userAgent }) => ({
        id: uuidToId('ses', id),
        createdAt,
        lastUsedAt,
        expiresAt,
        origin: { address, userAgent },
      })),
      hasMore,
    };
  };
}
