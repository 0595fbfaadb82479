// Everything that domain-provisioning remembers: claims, their keys, what was seen of their records, when to look again, what is still to be
// told to tenants' feeds, spare key pairs, and the answers to repeated requests. The only file that touches the database. Ids are uuids here. Every function that is asked on a tenant's behalf filters
// by the tenant; where tenants meet over one name, the comment says so, and nothing of the other leaves this service.

import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import {
  claim,
  expire,
  findRecord,
  type IdempotencyFinding,
  type IdempotencyRequest,
  store as storeRecord,
} from '@maildoot/db/idempotency';
import type { Repeated } from '@maildoot/db/repeatable';
import type pg from 'pg';
import { PrismaClient } from '../gen/prisma/client.ts';
import type { DomainEvent } from './domain-event.ts';
import type { SelectorKey } from './records.ts';
import type { Rotation } from './rotation.ts';
import { type Status, statusOf } from './status.ts';
import type { RecordState, Standing } from './verification.ts';

export interface StoredDomain extends Standing {
  id: string;
  tenantId: string;
  name: string;
  ownershipToken: string;
  keys: SelectorKey[];
  createdAt: Date;
  checkedAt: Date | null;
  verifiedAt: Date | null;
  /** The change of the signing key that was asked for last; null = none ever was. */
  rotation: Rotation | null;
  nextCheckAt: Date;
  /** Looks in a row that told nothing. */
  checkFailures: number;
  /** Looks in a row that found the status as it was. */
  unchangedLooks: number;
}

export interface DomainToStore {
  id: string;
  tenantId: string;
  name: string;
  ownershipToken: string;
  createdAt: Date;
  nextCheckAt: Date;
  keys: (SelectorKey & { sealedPrivateKey: Buffer })[];
  records: RecordState[];
}

/** A change of the signing key, as it begins. */
export interface RotationToStore {
  from: string;
  to: string;
  requestedAt: Date;
  /** For a selector that has signed before. */
  newKey: { publicKey: string; sealedPrivateKey: Buffer } | undefined;
}

export interface SpareKey {
  id: string;
  publicKey: string;
  sealedPrivateKey: Buffer;
}

/** What came of a claim. `exists`: the tenant's own, or verified for another; `too_many`: the tenant has as many as it can have. */
export type Claimed = 'done' | 'exists' | 'too_many';
/** The same for a request that may arrive twice. */
export type ClaimedOnce = { outcome: 'done' } | { outcome: 'exists' } | { outcome: 'too_many' } | Repeated;

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

export type RotationBegun = { outcome: 'done' | 'unchanged'; domain: StoredDomain } | { outcome: 'missing' } | Repeated;

export interface Store extends AsyncDisposable {
  /** Newest first. */
  listDomains(tenantId: string, page: { limit: number; afterId: string | undefined }): Promise<StoredDomain[]>;
  findDomain(tenantId: string, name: string): Promise<StoredDomain | undefined>;
  /** What would come of a claim now. Asks about all tenants: `exists` is the tenant's own, and a name that another has verified. */
  claimable(tenantId: string, name: string, maxDomains: number): Promise<Claimed>;
  insertDomain(domain: DomainToStore, maxDomains: number): Promise<Claimed>;
  /** The claim and the answer in one transaction, unless the request was answered before. */
  insertDomainOnce(
    domain: DomainToStore,
    maxDomains: number,
    request: IdempotencyRequest & { response: Uint8Array },
    now: Date,
  ): Promise<ClaimedOnce>;
  findAnswer(request: IdempotencyRequest, now: Date): Promise<IdempotencyFinding>;
  /**
   * Decides over a name and writes what was decided, while nobody else decides over the same name. A look that began before the one that
   * was written last changes nothing. undefined when the tenant has no such domain.
   */
  settle(tenantId: string, name: string, lookedAt: Date, decide: (contest: Contest) => Outcome, request?: AnsweredLook): Promise<Settled>;
  /** False when the tenant has no such domain. */
  deleteDomain(tenantId: string, name: string): Promise<boolean>;
  /**
   * Begins a change of the signing key, while nobody else decides over the domain: `decide` sees it as it is then, and undefined from it
   * changes nothing. With a request, its answer is kept in the same transaction.
   */
  beginRotation(
    tenantId: string,
    name: string,
    now: Date,
    decide: (domain: StoredDomain) => RotationToStore | undefined,
    request: (IdempotencyRequest & { answerOf: (domain: StoredDomain) => Uint8Array }) | undefined,
  ): Promise<RotationBegun>;
  /**
   * A domain whose time has come, for this process alone until the lease ends; the one that waited longest, but none of a tenant of whom so
   * many are being looked at. Processes that ask at the same moment may go beyond that by one each.
   */
  leaseDue(now: Date, mostOfTenant: number, leaseMs: number): Promise<{ tenantId: string; name: string } | undefined>;
  /** Gives a lease back after a look that could not be written down, and puts the next one off. */
  postponeCheck(tenantId: string, name: string, until: Date): Promise<void>;
  /** Events to tell, oldest first, for this process alone until the lease ends. */
  leaseEvents(limit: number, leaseMs: number): Promise<DomainEvent[]>;
  /** Those that were not taken: whoever tries next may have them. */
  releaseEvents(ids: readonly string[]): Promise<void>;
  eventTold(id: string): Promise<void>;
  /** Which of the records at hosts below a verified domain are verified themselves. */
  verifiedHosts(tenantId: string, name: string): Promise<{ returnPath: boolean; tracking: boolean }>;
  /** The verified ones among these names. */
  verifiedAmong(tenantId: string, names: readonly string[]): Promise<string[]>;
  /** Of a verified domain whose signing selector has been seen; undefined otherwise. */
  findSigningKey(tenantId: string, name: string): Promise<{ selector: string; sealedPrivateKey: Uint8Array } | undefined>;
  /** Takes up to so many spare pairs out of the table; nobody else gets them. */
  takeSpares(count: number): Promise<SpareKey[]>;
  countSpares(): Promise<number>;
  /** Keeps a pair unless there are so many already; false when it isn't wanted any more. */
  addSpare(spare: SpareKey, max: number): Promise<boolean>;
  expireAnswers(now: Date): Promise<number>;
}

const withParts = {
  dkimKeys: { select: { selector: true, active: true, publicKey: true, formerPublicKey: true } },
  records: { select: { slot: true, status: true, seen: true, problem: true } },
} as const;

interface DomainRow {
  id: string;
  tenantId: string;
  name: string;
  status: string;
  ownershipToken: string;
  createdAt: Date;
  checkedAt: Date | null;
  verifiedAt: Date | null;
  rotationFrom: string | null;
  rotationTo: string | null;
  rotationRequestedAt: Date | null;
  rotationChangedAt: Date | null;
  nextCheckAt: Date;
  checkFailures: number;
  unchangedLooks: number;
  dkimKeys: SelectorKey[];
  records: { slot: string; status: string; seen: string[]; problem: string }[];
}

function stored(row: DomainRow): StoredDomain {
  const { id, tenantId, name, ownershipToken, createdAt, checkedAt, verifiedAt, nextCheckAt, checkFailures, unchangedLooks } = row;
  const { dkimKeys, records, rotationFrom: from, rotationTo: to, rotationRequestedAt: requestedAt, rotationChangedAt: changedOverAt } = row;
  return {
    ...{ id, tenantId, name, ownershipToken, createdAt, checkedAt, verifiedAt, nextCheckAt, checkFailures, unchangedLooks },
    status: statusOf(row.status),
    rotation: from === null || to === null || requestedAt === null ? null : { from, to, requestedAt, changedOverAt },
    keys: dkimKeys,
    records: records.map((record) => ({ ...record, status: statusOf(record.status) })),
  };
}

export function openStore(database: Database): Store {
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });
  return {
    async listDomains(tenantId, { limit, afterId }) {
      const rows = await prisma.domain.findMany({
        where: { tenantId, ...(afterId === undefined ? {} : { id: { lt: afterId } }) },
        orderBy: { id: 'desc' },
        take: limit,
        include: withParts,
      });
      return rows.map(stored);
    },

    async findDomain(tenantId, name) {
      const row = await prisma.domain.findUnique({ where: { tenantId_name: { tenantId, name } }, include: withParts });
      return row === null ? undefined : stored(row);
    },

    claimable: (tenantId, name, maxDomains) => claimable(database.pool, tenantId, name, maxDomains),

    async insertDomain(domain, maxDomains) {
      return existsOr(() => database.transaction((client) => insertDomain(client, domain, maxDomains)));
    },

    async insertDomainOnce(domain, maxDomains, request, now) {
      const work = async (client: pg.PoolClient): Promise<ClaimedOnce> => {
        const [claimed] = await claim(client, [request], now);
        if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        const outcome = await insertDomain(client, domain, maxDomains);
        if (outcome === 'done') await storeRecord(client, [request], now);
        return { outcome };
      };
      const result = await existsOr(() => database.transaction(work));
      return typeof result === 'string' ? { outcome: result } : result;
    },

    findAnswer: (request, now) => findRecord(database.pool, request, now),

    settle(tenantId, name, lookedAt, decide, request) {
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
        await writeEvents(client, outcome.events);
        return done(await readDomain(client, own.id));
      });
    },

    async deleteDomain(tenantId, name) {
      // Keys and what was seen go with it; what is still to be told of it is told.
      const { rowCount } = await database.pool.query('DELETE FROM domain WHERE tenant_id = $1 AND name = $2', [tenantId, name]);
      return rowCount === 1;
    },

    beginRotation(tenantId, name, now, decide, request) {
      return database.transaction(async (client): Promise<RotationBegun> => {
        if (request !== undefined) {
          const [claimed] = await claim(client, [request], now);
          if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        }
        const { rows } = await client.query<{ id: string }>('SELECT id FROM domain WHERE tenant_id = $1 AND name = $2 FOR UPDATE', [
          tenantId,
          name,
        ]);
        const [row] = rows;
        if (row === undefined) return { outcome: 'missing' };
        const begun = decide(await readDomain(client, row.id));
        if (begun !== undefined) await writeRotation(client, tenantId, row.id, begun);
        const domain = await readDomain(client, row.id);
        if (request !== undefined) await storeRecord(client, [{ ...request, response: request.answerOf(domain) }], now);
        return { outcome: begun === undefined ? 'unchanged' : 'done', domain };
      });
    },

    async leaseDue(now, mostOfTenant, leaseMs) {
      const { rows } = await database.pool.query<{ tenant_id: string; name: string }>(
        `UPDATE domain SET check_leased_until = now() + $3 * interval '1 millisecond'
          WHERE id IN (SELECT id FROM domain
                        WHERE next_check_at <= $1 AND (check_leased_until IS NULL OR check_leased_until < now())
                          AND tenant_id NOT IN (SELECT tenant_id FROM domain WHERE check_leased_until >= now()
                                                 GROUP BY tenant_id HAVING count(*) >= $2)
                        ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED)
          RETURNING tenant_id, name`,
        [now, mostOfTenant, leaseMs],
      );
      return rows[0] && { tenantId: rows[0].tenant_id, name: rows[0].name };
    },

    async postponeCheck(tenantId, name, until) {
      await database.pool.query(
        `UPDATE domain SET check_leased_until = NULL, check_failures = check_failures + 1, next_check_at = greatest(next_check_at, $3)
          WHERE tenant_id = $1 AND name = $2`,
        [tenantId, name, until],
      );
    },

    async leaseEvents(limit, leaseMs) {
      const { rows } = await database.pool.query<{
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

    async releaseEvents(ids) {
      await database.pool.query('UPDATE domain_event SET leased_until = NULL WHERE id = ANY($1::uuid[])', [ids]);
    },

    async eventTold(id) {
      await database.pool.query('DELETE FROM domain_event WHERE id = $1', [id]);
    },

    async verifiedHosts(tenantId, name) {
      const { rows } = await database.pool.query<{ slot: string }>(
        `SELECT record.slot FROM domain JOIN domain_record AS record ON record.domain_id = domain.id AND record.tenant_id = domain.tenant_id
          WHERE domain.tenant_id = $1 AND domain.name = $2 AND domain.status = 'verified'
            AND record.slot IN ('return_path', 'tracking') AND record.status = 'verified'`,
        [tenantId, name],
      );
      const slots = rows.map(({ slot }) => slot);
      return { returnPath: slots.includes('return_path'), tracking: slots.includes('tracking') };
    },

    async verifiedAmong(tenantId, names) {
      const rows = await prisma.domain.findMany({
        where: { tenantId, name: { in: [...names] }, status: 'verified' satisfies Status },
        select: { name: true },
      });
      return rows.map((row) => row.name);
    },

    async findSigningKey(tenantId, name) {
      const { rows } = await database.pool.query<{ selector: string; sealed_private_key: Buffer }>(
        `SELECT key.selector, key.sealed_private_key
           FROM domain
           JOIN dkim_key AS key ON key.domain_id = domain.id AND key.tenant_id = domain.tenant_id AND key.active
           JOIN domain_record AS record ON record.domain_id = domain.id AND record.slot = 'dkim:' || key.selector
          WHERE domain.tenant_id = $1 AND domain.name = $2 AND domain.status = 'verified' AND record.status = 'verified'`,
        [tenantId, name],
      );
      return rows[0] && { selector: rows[0].selector, sealedPrivateKey: rows[0].sealed_private_key };
    },

    async takeSpares(count) {
      const { rows } = await database.pool.query<{ id: string; public_key: string; sealed_private_key: Buffer }>(
        `DELETE FROM spare_dkim_key WHERE id IN (SELECT id FROM spare_dkim_key ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, public_key, sealed_private_key`,
        [count],
      );
      return rows.map((row) => ({ id: row.id, publicKey: row.public_key, sealedPrivateKey: row.sealed_private_key }));
    },

    countSpares: () => prisma.spareDkimKey.count(),

    addSpare(spare, max) {
      return database.transaction(async (client) => {
        // Pods that count at the same time would each see room; the lock is this table's own number.
        await client.query("SELECT pg_advisory_xact_lock(hashtext('spare_dkim_key'))");
        const { rowCount } = await client.query(
          `INSERT INTO spare_dkim_key (id, public_key, sealed_private_key)
           SELECT $1, $2, $3 WHERE (SELECT count(*) FROM spare_dkim_key) < $4`,
          [spare.id, spare.publicKey, spare.sealedPrivateKey, max],
        );
        return rowCount === 1;
      });
    },

    expireAnswers: (now) => expire(database.pool, now),

    [Symbol.asyncDispose]: () => prisma.$disconnect(),
  };
}

/** The tenant's own second claim, made at the same moment, fails at the index. */
async function existsOr<T>(work: () => Promise<T>): Promise<T | 'exists'> {
  try {
    return await work();
  } catch (error) {
    if (isUniqueViolation(error, 'domain_tenant_id_name_key')) return 'exists';
    throw error;
  }
}

async function claimable(
  on: Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>,
  tenantId: string,
  name: string,
  maxDomains: number,
): Promise<Claimed> {
  const { rows } = await on.query<{ exists: boolean; count: number }>(
    `SELECT EXISTS (SELECT 1 FROM domain WHERE name = $1 AND (tenant_id = $2 OR status = 'verified')) AS exists,
            (SELECT count(*)::int FROM domain WHERE tenant_id = $2) AS count`,
    [name, tenantId],
  );
  if (rows[0]?.exists) return 'exists';
  return (rows[0]?.count ?? 0) >= maxDomains ? 'too_many' : 'done';
}

async function insertDomain(client: pg.PoolClient, domain: DomainToStore, maxDomains: number): Promise<Claimed> {
  // One after another for a tenant, so that two at the same moment don't both find room.
  await client.query("SELECT pg_advisory_xact_lock(hashtextextended('domains ' || $1, 0))", [domain.tenantId]);
  const found = await claimable(client, domain.tenantId, domain.name, maxDomains);
  if (found !== 'done') return found;
  await client.query(
    "INSERT INTO domain (id, tenant_id, name, status, ownership_token, created_at, next_check_at) VALUES ($1, $2, $3, 'pending', $4, $5, $6)",
    [domain.id, domain.tenantId, domain.name, domain.ownershipToken, domain.createdAt, domain.nextCheckAt],
  );
  for (const key of domain.keys) {
    await client.query(
      'INSERT INTO dkim_key (tenant_id, domain_id, selector, active, public_key, sealed_private_key) VALUES ($1, $2, $3, $4, $5, $6)',
      [domain.tenantId, domain.id, key.selector, key.active, key.publicKey, key.sealedPrivateKey],
    );
  }
  await writeRecords(client, domain.tenantId, domain.id, domain.records);
  return 'done';
}

async function readDomain(client: pg.PoolClient, id: string): Promise<StoredDomain> {
  const { rows } = await client.query<DomainRow>(
    `SELECT id, tenant_id AS "tenantId", name, status, ownership_token AS "ownershipToken",
            created_at AS "createdAt", checked_at AS "checkedAt", verified_at AS "verifiedAt",
            rotation_from AS "rotationFrom", rotation_to AS "rotationTo",
            rotation_requested_at AS "rotationRequestedAt", rotation_changed_at AS "rotationChangedAt",
            next_check_at AS "nextCheckAt", check_failures AS "checkFailures", unchanged_looks AS "unchangedLooks",
            (SELECT jsonb_agg(jsonb_build_object('selector', selector, 'active', active, 'publicKey', public_key, 'formerPublicKey', former_public_key)) FROM dkim_key WHERE domain_id = $1) AS "dkimKeys",
            (SELECT jsonb_agg(jsonb_build_object('slot', slot, 'status', status, 'seen', seen, 'problem', problem)) FROM domain_record WHERE domain_id = $1) AS records
       FROM domain WHERE id = $1`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('a domain that was locked is gone');
  return stored(row);
}

async function writeStanding(client: pg.PoolClient, domain: StoredDomain, { status, records }: Standing, lookedAt: Date): Promise<void> {
  await client.query(
    `UPDATE domain SET status = $3, checked_at = $4, verified_at = CASE WHEN $3 = 'verified' AND status <> 'verified' THEN $4 ELSE verified_at END
      WHERE id = $1 AND tenant_id = $2`,
    [domain.id, domain.tenantId, status, lookedAt],
  );
  await writeRecords(client, domain.tenantId, domain.id, records);
}

async function writeRecords(client: pg.PoolClient, tenantId: string, domainId: string, records: readonly RecordState[]): Promise<void> {
  // One round trip for all; as JSON, because the arrays of values have different lengths.
  await client.query(
    `INSERT INTO domain_record (tenant_id, domain_id, slot, status, seen, problem)
     SELECT $1, $2, slot, status, seen, problem FROM jsonb_to_recordset($3) AS record(slot text, status text, seen text[], problem text)
     ON CONFLICT (domain_id, slot) DO UPDATE SET status = excluded.status, seen = excluded.seen, problem = excluded.problem`,
    [tenantId, domainId, JSON.stringify(records)],
  );
}

async function writeRotation(client: pg.PoolClient, tenantId: string, domainId: string, begun: RotationToStore): Promise<void> {
  // The look that decides is the next one, and that is due now.
  await client.query(
    `UPDATE domain SET rotation_from = $3, rotation_to = $4, rotation_requested_at = $5, rotation_changed_at = NULL,
                       next_check_at = $5, check_failures = 0, unchanged_looks = 0
      WHERE id = $1 AND tenant_id = $2`,
    [domainId, tenantId, begun.from, begun.to, begun.requestedAt],
  );
  if (begun.newKey === undefined) return;
  await client.query(
    `UPDATE dkim_key SET former_public_key = public_key, public_key = $4, sealed_private_key = $5
      WHERE domain_id = $1 AND tenant_id = $2 AND selector = $3 AND NOT active`,
    [domainId, tenantId, begun.to, begun.newKey.publicKey, begun.newKey.sealedPrivateKey],
  );
  await writeRecords(client, tenantId, domainId, [{ slot: `dkim:${begun.to}`, status: 'pending', seen: [], problem: '' }]);
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

async function writeEvents(client: pg.PoolClient, events: readonly DomainEvent[]): Promise<void> {
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
