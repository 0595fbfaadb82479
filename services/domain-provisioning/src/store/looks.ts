// Looks at domains: whose turn it is, and what was decided from what was seen.
import type { Database } from '@maildoot/db/database';
import { claim, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type { Repeated } from '@maildoot/db/repeatable';
import type pg from 'pg';
import type { DomainEvent } from '../domain-event.ts';
import type { Standing } from '../verification.ts';
import { insertEvents } from './events.ts';
import { readDomain, type StoredDomain, writeRecords } from './stored-domain.ts';

/** All claims to one name that count for a verification, held still until it is written. */
export interface Contest {
  ours: StoredDomain;
  /** The other tenant's that is verified, if there is one. */
  rival: StoredDomain | undefined;
}

export interface Outcome {
  standing: Standing;
  /** How the rival stands now, if it has lost. */
  rival: Standing | undefined;
  /** The selector that signs from now on, where the record of a new key was seen. */
  changeOverTo: string | undefined;
  checkFailures: number;
  unchangedLooks: number;
  nextCheckAt: Date;
  /** What the tenants concerned are told. */
  events: readonly DomainEvent[];
}

/** A look that was asked for by a request that may come twice, with what it is answered. */
export type AnsweredLook = IdempotencyRequest & { answerOf: (domain: StoredDomain) => Uint8Array };

export type Settled = { outcome: 'done'; domain: StoredDomain } | { outcome: 'missing' } | Repeated;

export function openLooks(database: Database) {
  return {
    /**
     * Decides over a name and writes what was decided, while nobody else decides over the same name. A look that began before the one that
     * was written last changes nothing.
     */
    settle(
      tenantId: string,
      name: string,
      lookedAt: Date,
      decide: (contest: Contest) => Outcome,
      request?: AnsweredLook,
    ): Promise<Settled> {
      return database.transaction(async (client): Promise<Settled> => {
        if (request !== undefined) {
          const [claimed] = await claim(client, [request], lookedAt);
          if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        }
        const done = async (domain: StoredDomain): Promise<Settled> => {
          if (request !== undefined) await storeRecord(client, [{ ...request, response: request.answerOf(domain) }], lookedAt);
          return { outcome: 'done', domain };
        };
        // All tenants' claims to the name, in one order everywhere: who decides over a name waits for who is deciding.
        const { rows } = await client.query<{ id: string; tenant_id: string; status: string }>(
          'SELECT id, tenant_id, status FROM domain WHERE name = $1 ORDER BY id FOR UPDATE',
          [name],
        );
        const own = rows.find((row) => row.tenant_id === tenantId);
        if (own === undefined) return { outcome: 'missing' };
        const other = rows.find((row) => row.tenant_id !== tenantId && row.status === 'verified');
        const ours = await readDomain(client, own.id);
        if (ours.checkedAt !== null && ours.checkedAt > lookedAt) return done(ours);
        const rival = other && (await readDomain(client, other.id));

        const outcome = decide({ ours, rival });
        // The rival first: at no moment may two of a name be verified.
        if (rival && outcome.rival) await writeStanding(client, rival, outcome.rival, lookedAt);
        await writeStanding(client, ours, outcome.standing, lookedAt);
        await client.query(
          `UPDATE domain SET next_check_at = $3, check_failures = $4, unchanged_looks = $5, check_leased_until = NULL
            WHERE id = $1 AND tenant_id = $2`,
          [ours.id, ours.tenantId, outcome.nextCheckAt, outcome.checkFailures, outcome.unchangedLooks],
        );
        if (outcome.changeOverTo !== undefined) await changeOver(client, ours, outcome.changeOverTo, lookedAt);
        await insertEvents(client, outcome.events);
        return done(await readDomain(client, own.id));
      });
    },

    /**
     * A domain whose time has come, for this process alone until the lease ends; the one that waited longest, but none of a tenant of whom
     * so many are being looked at. Processes that ask at the same moment may go beyond that by one each. `=` and not IN, which a plan may
     * answer by asking again for every row: it leases more than the one that is returned.
     */
    async leaseDue(now: Date, mostOfTenant: number, leaseMs: number): Promise<{ tenantId: string; name: string } | undefined> {
      const { rows } = await database.pool.query<{ tenant_id: string; name: string }>(
        `UPDATE domain SET check_leased_until = now() + $3 * interval '1 millisecond'
          WHERE id = (SELECT id FROM domain
                       WHERE next_check_at <= $1 AND (check_leased_until IS NULL OR check_leased_until < now())
                         AND tenant_id NOT IN (SELECT tenant_id FROM domain WHERE check_leased_until >= now()
                                                GROUP BY tenant_id HAVING count(*) >= $2)
                       ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED)
          RETURNING tenant_id, name`,
        [now, mostOfTenant, leaseMs],
      );
      return rows[0] && { tenantId: rows[0].tenant_id, name: rows[0].name };
    },

    /** Gives a lease back after a look that could not be written down, and puts the next one off. */
    async postponeCheck(tenantId: string, name: string, until: Date): Promise<void> {
      await database.pool.query(
        `UPDATE domain SET check_leased_until = NULL, check_failures = check_failures + 1, next_check_at = greatest(next_check_at, $3)
          WHERE tenant_id = $1 AND name = $2`,
        [tenantId, name, until],
      );
    },
  };
}

async function writeStanding(client: pg.PoolClient, domain: StoredDomain, { status, records }: Standing, lookedAt: Date): Promise<void> {
  await client.query(
    `UPDATE domain SET status = $3, checked_at = $4, verified_at = CASE WHEN $3 = 'verified' AND status <> 'verified' THEN $4 ELSE verified_at END
      WHERE id = $1 AND tenant_id = $2`,
    [domain.id, domain.tenantId, status, lookedAt],
  );
  await writeRecords(client, domain.tenantId, domain.id, records);
}

async function changeOver(client: pg.PoolClient, domain: StoredDomain, to: string, at: Date): Promise<void> {
  // One selector signs, and the index over it is checked row by row: the old one first.
  await client.query('UPDATE dkim_key SET active = false WHERE domain_id = $1 AND tenant_id = $2 AND active', [domain.id, domain.tenantId]);
  await client.query('UPDATE dkim_key SET active = true WHERE domain_id = $1 AND tenant_id = $2 AND selector = $3', [
    domain.id,
    domain.tenantId,
    to,
  ]);
  await client.query('UPDATE domain SET rotation_changed_at = $3 WHERE id = $1 AND tenant_id = $2', [domain.id, domain.tenantId, at]);
}
