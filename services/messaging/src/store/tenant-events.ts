// The table of events that are about no message.
import { byteaArray, textArray, timestampArray, uuidArray } from '@maildoot/db/parameters';
import type pg from 'pg';
import type { TenantEvent } from '../tenant-event.ts';

/** Answers the ids of those that were new. */
export async function insertTenantEvents(client: pg.ClientBase, events: readonly TenantEvent[]): Promise<Set<string>> {
  if (events.length === 0) return new Set();
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO tenant_event (id, tenant_id, type, at, data)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bytea[])
     ON CONFLICT DO NOTHING RETURNING id`,
    [
      uuidArray(events.map((event) => event.id)),
      uuidArray(events.map((event) => event.tenantId)),
      textArray(events.map((event) => event.type)),
      timestampArray(events.map((event) => event.at)),
      byteaArray(events.map((event) => Buffer.from(JSON.stringify(event.data)))),
    ],
  );
  return new Set(rows.map((row) => row.id));
}
