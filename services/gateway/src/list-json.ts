// Lists: `{ data, next_cursor }`.
import type { IdPrefix } from '@maildoot/runtime/ids';
import { z } from 'zod';
import { cursorAfter } from './cursor.ts';

export function listSchema(id: string, item: z.ZodType, more: Record<string, z.ZodType> = {}): z.ZodType {
  return z
    .strictObject({
      data: z.array(item),
      next_cursor: z.string().nullable().meta({ description: 'For `cursor`; null: there is no next page.' }),
      ...more,
    })
    .meta({ id });
}

/** `afterId`: the last thing of this page where there is another page; empty or undefined where there is none. */
export function listJson(prefix: IdPrefix, data: unknown[], afterId: string | undefined): { data: unknown[]; next_cursor: string | null } {
  return { data, next_cursor: afterId ? cursorAfter(prefix, afterId) : null };
}
