// ListApiKeys: a page of the tenant's keys, newest first.

import type { ListApiKeysRequest, ListApiKeysResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { shownKey } from '../shown-key.ts';
import type { Store } from '../store.ts';

const defaultLimit = 20;
const maxLimit = 100;

export function listApiKeys({ store }: { store: Store }) {
  return async (request: ListApiKeysRequest, call: RpcCall): Promise<ListApiKeysResponse> => {
    const limit = request.limit === 0 ? defaultLimit : Math.min(request.limit, maxLimit);
    // One more than asked for tells whether there is a next page.
    const keys = await store.listKeys(callingTenant(call), { limit: limit + 1, afterId: positionOf(request.afterId) });
    return { apiKeys: keys.slice(0, limit).map(shownKey), hasMore: keys.length > limit };
  };
}

/** An id is a position in time: it needs no row, so a page goes on also after its last key was revoked. */
function positionOf(afterId: string): string | undefined {
  if (afterId === '') return undefined;
  const uuid = idToUuid('key', afterId);
  if (uuid !== undefined) return uuid;
  const issue = { path: 'cursor', code: 'invalid_cursor', message: 'Give the next_cursor of the page before, or leave it out.' };
  throw errors.VALIDATION_ERROR({ message: 'The list can’t go on from there.', issues: [issue] });
}
