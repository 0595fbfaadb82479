// ListVersions: a page of a template's versions, newest first.
import type { ListVersionsRequest, ListVersionsResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { uuidToId } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { shownVersion } from '../shown-template.ts';
import type { Store } from '../store.ts';
import { existing } from './get-template.ts';
import { pageLimit } from './list-templates.ts';

export function listVersions({ store }: { store: Store }) {
  return async (request: ListVersionsRequest, call: RpcCall): Promise<ListVersionsResponse> => {
    const tenantId = callingTenant(call);
    const template = await existing(store, tenantId, request.id);
    const limit = pageLimit(request.limit);
    const below = request.beforeNumber === 0 ? undefined : request.beforeNumber;
    const versions = await store.listVersions(tenantId, template.id, { limit: limit + 1, below });
    return {
      versions: versions.slice(0, limit).map((version) => shownVersion(template, version)),
      hasMore: versions.length > limit,
      templateId: uuidToId('tpl', template.id),
    };
  };
}
