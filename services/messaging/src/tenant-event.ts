// Events of a tenant that are about no message. They stand in its feed among the others, found there by their own id.
import type pg from 'pg';
import { feedRows } from './feed.ts';
import { noMessage, tellFeed } from './store/feed.ts';
import { insertTenantEvents } from './store/tenant-events.ts';

/** Which types there are; others have no number in the feed. */
export const tenantEventTypes: readonly string[] = ['domain.verified', 'domain.drifted', 'callback.disabled'];

/** Ids are the database's. */
export interface TenantEvent {
  id: string;
  tenantId: string;
  type: string;
  at: Date;
  data: Readonly<Record<string, unknown>>;
}

/** Keeps each once and tells the feed, within the caller's transaction. Answers the ids of those that were new. */
export async function appendTenantEvents(client: pg.ClientBase, events: readonly TenantEvent[]): Promise<Set<string>> {
  const fresh = await insertTenantEvents(client, events);
  const told = events.filter((event) => fresh.has(event.id));
  await tellFeed(
    client,
    feedRows(told.map(({ id, tenantId, type }) => ({ messageId: id, tenantId, recipientNumber: noMessage, attempt: 0, type }))),
  );
  return fresh;
}
