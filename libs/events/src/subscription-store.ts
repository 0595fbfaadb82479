/** Every statement that a consumer of the PostgreSQL log sends: who is a member, who reads which partition, how far, and the records. */
import { sqlState } from '@maildoot/db/errors';
import pg from 'pg';
import { type RecordRow, rawRecord } from './parked-store.ts';
import type { RawRecord } from './process-batch.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { schemaOf, type TopicFacts } from './topics.ts';

export const membersChannel = 'event_log_members';

export interface Member extends ProcessIdentity {
  member: string;
  expired: boolean;
}

export interface Assignment {
  partition: number;
  owner: string | null;
  position: bigint;
}

export interface PartitionPosition {
  partition: number;
  position: bigint;
}

// The payload of a partition's records in one fetch; a single record may be as large as it is.
const FETCH_BYTES = 1_000_000;

const UNDEFINED_TABLE = '42P01';

export class SubscriptionStore {
  readonly #pool: pg.Pool;
  readonly #topic: TopicFacts;
  readonly #group: string;
  readonly #fetch: { name: string; text: string };

  constructor(pool: pg.Pool, topic: TopicFacts, group: string) {
    this.#pool = pool;
    this.#topic = topic;
    this.#group = group;
    const schema = schemaOf(topic);
    this.#fetch = { name: `fetch-${schema}`, text: fetchFrom(pg.escapeIdentifier(schema)) };
  }

  /** What the members' channel says when something changed among the members of this group. */
  get membersPayload(): string {
    return `${this.#group} ${this.#topic.name}`;
  }

  async join(member: string, { machine, pid }: ProcessIdentity, leaseMs: number): Promise<void> {
    await this.#pool.query(
      `INSERT INTO subscription (group_name, topic, partition) SELECT $1, $2, generate_series(0, $3 - 1) ON CONFLICT DO NOTHING`,
      [this.#group, this.#topic.name, this.#topic.partitions],
    );
    await this.#pool.query(
      `INSERT INTO member (member, group_name, topic, machine, pid, expires_at)
       VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 millisecond')`,
      [member, this.#group, this.#topic.name, machine, pid, leaseMs],
    );
    await this.#tellMembers();
  }

  /** False: the others have given us up, and our partitions with us. */
  async renew(member: string, leaseMs: number): Promise<boolean> {
    const { rowCount } = await this.#pool.query({
      name: 'renew',
      text: `UPDATE member SET expires_at = clock_timestamp() + $2 * interval '1 millisecond' WHERE member = $1`,
      values: [member, leaseMs],
    });
    return rowCount === 1;
  }

  async members(): Promise<Member[]> {
    const { rows } = await this.#pool.query<Member>({
      name: 'members',
      text: `SELECT member, machine, pid, expires_at <= clock_timestamp() AS expired FROM member
             WHERE group_name = $1 AND topic = $2 ORDER BY member`,
      values: [this.#group, this.#topic.name],
    });
    return rows;
  }

  /** Members that may be given up: asked again for the expired, who may have renewed meanwhile. Their ids never come back. */
  async remove(expired: string[], dead: string[]): Promise<string[]> {
    const { rows } = await this.#pool.query<{ member: string }>(
      `DELETE FROM member WHERE (member = ANY($1::uuid[]) AND expires_at <= clock_timestamp()) OR member = ANY($2::uuid[]) RETURNING member`,
      [expired, dead],
    );
    return rows.map(({ member }) => member);
  }

  async assignments(): Promise<Assignment[]> {
    const { rows } = await this.#pool.query<{ partition: number; owner: string | null; position: string }>({
      name: 'assignments',
      text: `SELECT partition, owner, position::text FROM subscription WHERE group_name = $1 AND topic = $2 ORDER BY partition`,
      values: [this.#group, this.#topic.name],
    });
    return rows.map((row) => ({ ...row, position: BigInt(row.position) }));
  }

  /**
   * Takes partitions that nobody reads. Compared with the owner that was seen: between the look and this, somebody else may have taken
   * one and joined too late for this statement's snapshot to know that member.
   */
  async take(member: string, seen: Assignment[]): Promise<PartitionPosition[]> {
    const { rows } = await this.#pool.query<{ partition: number; position: string }>(
      `UPDATE subscription AS s SET owner = $3
       FROM unnest($4::smallint[], $5::uuid[]) AS seen (partition, owner)
       WHERE s.group_name = $1 AND s.topic = $2 AND s.partition = seen.partition AND s.owner IS NOT DISTINCT FROM seen.owner
         AND (s.owner IS NULL OR NOT EXISTS (SELECT FROM member AS m WHERE m.member = s.owner))
       RETURNING s.partition, s.position::text`,
      [this.#group, this.#topic.name, member, seen.map(({ partition }) => partition), seen.map(({ owner }) => owner)],
    );
    return rows.map(({ partition, position }) => ({ partition, position: BigInt(position) }));
  }

  /** The partitions whose position was written: a missing one has another owner by now. */
  async commit(member: string, positions: PartitionPosition[]): Promise<number[]> {
    const { rows } = await this.#pool.query<{ partition: number }>({
      name: 'commit',
      text: `UPDATE subscription AS s SET position = done.position
             FROM unnest($4::smallint[], $5::bigint[]) AS done (partition, position)
             WHERE s.group_name = $1 AND s.topic = $2 AND s.owner = $3 AND s.partition = done.partition AND s.position <= done.position
             RETURNING s.partition`,
      values: [this.#group, this.#topic.name, member, ...columns(positions)],
    });
    return rows.map(({ partition }) => partition);
  }

  /** Commits and lets others take them. */
  async giveBack(member: string, positions: PartitionPosition[]): Promise<void> {
    if (positions.length > 0) {
      await this.#pool.query(
        `UPDATE subscription AS s SET position = done.position, owner = NULL
         FROM unnest($4::smallint[], $5::bigint[]) AS done (partition, position)
         WHERE s.group_name = $1 AND s.topic = $2 AND s.owner = $3 AND s.partition = done.partition`,
        [this.#group, this.#topic.name, member, ...columns(positions)],
      );
    }
    await this.#tellMembers();
  }

  async leave(member: string, positions: PartitionPosition[]): Promise<void> {
    await this.giveBack(member, positions);
    await this.#pool.query('DELETE FROM member WHERE member = $1', [member]);
    await this.#tellMembers();
  }

  /**
   * For each partition the next records behind a position, in order: at most `limit`, and 1 MB, but always the first. A topic whose owner
   * was never started has no table yet, and no records.
   */
  async fetch(after: PartitionPosition[], limit: number): Promise<RawRecord[]> {
    const { rows } = await this.#pool
      .query<RecordRow>({ ...this.#fetch, values: [this.#topic.name, ...columns(after), limit, FETCH_BYTES] })
      .catch((error: unknown) => {
        if (sqlState(error) === UNDEFINED_TABLE) return { rows: [] };
        throw error;
      });
    return rows.map(rawRecord);
  }

  async #tellMembers(): Promise<void> {
    await this.#pool.query('SELECT pg_notify($1, $2)', [membersChannel, this.membersPayload]);
  }
}

/** The length of a value doesn't need its bytes, so a window over up to `limit` large records reads only those that it returns. */
function fetchFrom(schema: string): string {
  return `
    SELECT p.partition, r.id::text, r.key, r.position::text, r.payload, r.traceparent
    FROM unnest($2::smallint[], $3::bigint[]) AS p (partition, position)
    CROSS JOIN LATERAL (
      SELECT w.* FROM (
        SELECT o.*, sum(octet_length(o.payload)) OVER (ORDER BY o.position) AS bytes
        FROM (
          SELECT id, key, position, payload, traceparent FROM ${schema}.outbox
          WHERE topic = $1 AND shard = p.partition AND position > p.position
          ORDER BY position LIMIT $4
        ) AS o
      ) AS w
      WHERE w.bytes <= $5 OR w.bytes = octet_length(w.payload)
    ) AS r
    ORDER BY p.partition, r.position`;
}

function columns(positions: PartitionPosition[]): [number[], string[]] {
  return [positions.map(({ partition }) => partition), positions.map(({ position }) => String(position))];
}
