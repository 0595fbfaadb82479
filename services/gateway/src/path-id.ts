// Ids in paths. One that can't be one names nothing, and is answered like one that never existed.
import { type IdPrefix, idToUuid } from '@maildoot/runtime/ids';
import { notFound } from './errors.ts';

/** @throws ApiError NOT_FOUND */
export function pathId(prefix: IdPrefix, params: Readonly<Record<string, string>>): string {
  const { id } = params;
  if (id === undefined || idToUuid(prefix, id) === undefined) throw notFound();
  return id;
}

export const messageIdParam = { id: { description: 'The id that sending answered with.', example: 'msg_01kg97xw00fscrrszmz39ef7mp' } };
