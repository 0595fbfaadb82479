// Parked records for who looks after them: what there is, and asking for one more try. The try itself is the subscription's, between its
// own batches, so that a partition still has one reader at a time.
import type pg from 'pg';
import { membersChannel } from './subscription-store.ts';

/** Undefined fields don't filter. */
export interface ParkedFilter {
  group?: string | undefined;
  topic?: string | undefined;
  /** The id of one record. */
  event?: string | undefined;
}

export interface ParkedRecord {
  group: string;
  topic: string;
  partition: number;
  position: bigint;
  eventId: string;
  key: string;
  reason: string;
  error: string;
  attempts: number;
  parkedAt: Date;
  /** Asked for, and not handled yet. */
  replayRequestedAt: Date | null;
}

const matching = '($1::text IS NULL OR group_name = $1) AND ($2::text IS NULL OR topic = $2) AND ($3::uuid IS NULL OR event_id = $3)';

/** Oldest first. */
export async function listParked(pool: pg.Pool, filter: ParkedFilter): Promise<ParkedRecord[]> {
  const { rows } = await pool.query<Omit<ParkedRecord, 'position'> & { position: string }>(
    `SELECT group_name AS "group", topic, partition, position::text, event_id AS "eventId", key, reason, error, attempts,
            parked_at AS "parkedAt", replay_requested_at AS "replayRequestedAt"
     FROM event_log.parked WHERE ${matching} ORDER BY parked_at, topic, partition, parked.position`,
    parameters(filter),
  );
  return rows.map((row) => ({ ...row, position: BigInt(row.position) }));
}

/** For how many records per group and topic. They are handled as soon as the group's readers hear of it, which may come out of their key's order. */
export async function requestReplay(pool: pg.Pool, filter: ParkedFilter): Promise<{ group: string; topic: string; records: number }[]> {
  const { rows } = await pool.query<{ group: string; topic: string; records: number }>(
    `WITH requested AS (
       UPDATE event_log.parked SET replay_requested_at = now() WHERE ${matching} RETURNING group_name, topic
     )
     SELECT group_name AS "group", topic, count(*)::int AS records, pg_notify($4, group_name || ' ' || topic)
     FROM requested GROUP BY group_name, topic ORDER BY group_name, topic`,
    [...parameters(filter), membersChannel],
  );
  return rows.map(({ group, topic, records }) => ({ group, topic, records }));
}

function parameters({ group, topic, event }: ParkedFilter): (string | null)[] {
  return [group ?? null, topic ?? null, event ?? null];
}
