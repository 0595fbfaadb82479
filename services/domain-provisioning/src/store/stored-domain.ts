// A domain as it is kept, with its keys and what was seen of its records. Ids are uuids.
import type pg from 'pg';
import type { SelectorKey } from '../records.ts';
import type { Rotation } from '../rotation.ts';
import { statusOf } from '../status.ts';
import type { RecordState, Standing } from '../verification.ts';

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

export function stored(row: DomainRow): StoredDomain {
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

/** One that is locked. */
export async function readDomain(client: pg.PoolClient, id: string): Promise<StoredDomain> {
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

export async function writeRecords(
  client: pg.PoolClient,
  tenantId: string,
  domainId: string,
  records: readonly RecordState[],
): Promise<void> {
  // One round trip for all; as JSON, because the arrays of values have different lengths.
  await client.query(
    `INSERT INTO domain_record (tenant_id, domain_id, slot, status, seen, problem)
     SELECT $1, $2, slot, status, seen, problem FROM jsonb_to_recordset($3) AS record(slot text, status text, seen text[], problem text)
     ON CONFLICT (domain_id, slot) DO UPDATE SET status = excluded.status, seen = excluded.seen, problem = excluded.problem`,
    [tenantId, domainId, JSON.stringify(records)],
  );
}
