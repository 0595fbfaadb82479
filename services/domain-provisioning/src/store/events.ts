// What is still to be told to tenants' feeds: written with the fact, gone when it is told.
import type { Database } from '@maildoot/db/database';
import type pg from 'pg';
import type { DomainEvent } from '../domain-event.ts';

export function openEvents({ pool }: Database) {
  return {
    /** Oldest first, for this process alone until the lease ends. */
    async leaseEvents(limit: number, leaseMs: number): Promise<DomainEvent[]> {
      const { rows } = await pool.query<{
        id: string;
        tenant_id: string;
        type: DomainEvent['type'];
        data: DomainEvent['data'];
        at: Date;
      }>(
        `UPDATE domain_event SET leased_until = now() + $2 * interval '1 millisecond'
          WHERE id IN (SELECT id FROM domain_event WHERE leased_until IS NULL OR leased_until < now()
                        ORDER BY at, id LIMIT $1 FOR UPDATE SKIP LOCKED)
          RETURNING id, tenant_id, type, data, at`,
        [limit, leaseMs],
      );
      return rows
        .map(({ tenant_id: of, ...event }) => ({ ...event, tenantId: of }))
        .sort((one, other) => one.at.getTime() - other.at.getTime() || (one.id < other.id ? -1 : 1));
    },

    /** Those that were not taken: whoever tries next may have them. */
    async releaseEvents(ids: readonly string[]): Promise<void> {
      await pool.query('UPDATE domain_event SET leased_until = NULL WHERE id = ANY($1::uuid[])', [ids]);
    },

    async eventTold(id: string): Promise<void> {
      await pool.query('DELETE FROM domain_event WHERE id = $1', [id]);
    },
  };
}

export async function insertEvents(client: pg.PoolClient, events: readonly DomainEvent[]): Promise<void> {
  for (const { id, tenantId, type, data, at } of events) {
    await client.query('INSERT INTO domain_event (id, tenant_id, type, data, at) VALUES ($1, $2, $3, $4, $5)', [
      id,
      tenantId,
      type,
      JSON.stringify(data),
      at,
    ]);
  }
}
