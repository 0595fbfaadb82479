// ListAuditEntries: the tenant's log, newest first.

import type { Database } from '@maildoot/db/database';
import type { ListAuditEntriesRequest, ListAuditEntriesResponse } from '@maildoot/proto/maildoot/auth/v1/audit';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidTime, uuidToId } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { pageOf, withMore } from '../page.ts';
import { listEntries } from '../store/audit.ts';

export function listAuditEntries({ database }: { database: Database }) {
  return async (request: ListAuditEntriesRequest, call: RpcCall): Promise<ListAuditEntriesResponse> => {
    const tenantId = callingTenant(call);
    const { action } = request;
    const { rows, hasMore } = await withMore(pageOf('aud', request), (page) => listEntries(database, tenantId, { ...page, action }));
    return {
      entries: rows.map((row) => ({ ...row, id: uuidToId('aud', row.id), at: uuidTime(row.id) })),
      hasMore,
    };
  };
}
