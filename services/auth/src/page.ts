// Pages of lists: how many, and behind which one.
import { type IdPrefix, idToUuid } from '@maildoot/runtime/ids';
import { errors } from './errors.ts';

const defaultLimit = 20;
const maxLimit = 100;

export interface Page {
  limit: number;
  /** uuid */
  afterId: string | undefined;
}

/** An id is a position in time: it needs no row, so a page goes on also after its last one is gone. @throws RpcError VALIDATION_ERROR */
export function pageOf(prefix: IdPrefix, request: { limit: number; afterId: string }): Page {
  const limit = request.limit === 0 ? defaultLimit : Math.min(request.limit, maxLimit);
  if (request.afterId === '') return { limit, afterId: undefined };
  const afterId = idToUuid(prefix, request.afterId);
  if (afterId !== undefined) return { limit, afterId };
  const issue = { path: 'cursor', code: 'invalid_cursor', message: 'Give the next_cursor of the page before, or leave it out.' };
  throw errors.VALIDATION_ERROR({ message: 'The list can’t go on from there.', issues: [issue] });
}

/** One more than the page has tells whether there is a next one. */
export async function withMore<T>({ limit, afterId }: Page, read: (page: Page) => Promise<T[]>): Promise<{ rows: T[]; hasMore: boolean }> {
  const rows = await read({ limit: limit + 1, afterId });
  return { rows: rows.slice(0, limit), hasMore: rows.length > limit };
}
