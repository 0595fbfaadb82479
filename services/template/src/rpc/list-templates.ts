// ListTemplates: a page of the tenant's templates, newest first, without their sources.
import type { ListTemplatesRequest, ListTemplatesResponse } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { shownTemplate } from '../shown-template.ts';
import type { Store } from '../store.ts';

const defaultLimit = 20;
const maxLimit = 100;

export function listTemplates({ store }: { store: Store }) {
  return async (request: ListTemplatesRequest, call: RpcCall): Promise<ListTemplatesResponse> => {
    const limit = pageLimit(request.limit);
    // One more than asked for tells whether there is a next page.
    const templates = await store.list(callingTenant(call), { limit: limit + 1, afterId: positionOf(request.afterId) });
    return { templates: templates.slice(0, limit).map((template) => shownTemplate(template)), hasMore: templates.length > limit };
  };
}

export function pageLimit(asked: number): number {
  return asked === 0 ? defaultLimit : Math.min(asked, maxLimit);
}

/** An id is a position in time: it needs no row. */
function positionOf(afterId: string): string | undefined {
  if (afterId === '') return undefined;
  const uuid = idToUuid('tpl', afterId);
  if (uuid !== undefined) return uuid;
  const issue = { path: 'cursor', code: 'invalid_cursor', message: 'Give the next_cursor of the page before, or leave it out.' };
  throw errors.VALIDATION_ERROR({ message: 'The list can’t go on from there.', issues: [issue] });
}
