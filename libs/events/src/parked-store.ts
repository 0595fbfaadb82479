/** The parked records of a group, whichever log they come from. They are kept in the schema `event_log` of PostgreSQL. */
import { uuidTime } from '@maildoot/runtime/ids';
import { maskCredentials } from '@maildoot/runtime/logger';
import type pg from 'pg';
import type { Parking, RawRecord } from './process-batch.ts';

/** A record as tables keep it. */
export interface RecordRow {
  partition: number;
  id: string;
  key: string;
  position: string;
  payload: Buffer;
  traceparent: string;
}

export function rawRecord(row: RecordRow): RawRecord {
  return { ...row, position: BigInt(row.position), publishedAt: uuidTime(row.id) };
}

const LONGEST_ERROR = 1_000;

export class ParkedStore {
  readonly #pool: pg.Pool;
  readonly #topic: string;
  readonly #group: string;

  constructor(pool: pg.Pool, topic: string, group: string) {
    this.#pool = pool;
    this.#topic = topic;
    this.#group = group;
  }

  async park({ record, reason, error, attempts }: Parking): Promise<void> {
    await this.#pool.query(
      `INSERT INTO parked (group_name, topic, partition, position, event_id, key, payload, traceparent, reason, error, attempts)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
      [
        this.#group,
        this.#topic,
        record.partition,
        String(record.position),
        record.id,
        storable(record.key),
        record.payload,
        storable(record.traceparent),
        reason,
        wordsOf(error),
        attempts,
      ],
    );
  }

  /** The partitions with parked records that are to be handled once more. */
  async partitionsToReplay(): Promise<number[]> {
    const { rows } = await this.#pool.query<{ partition: number }>({
      name: 'partitions-to-replay',
      text: `SELECT DISTINCT partition FROM parked WHERE group_name = $1 AND topic = $2 AND replay_requested_at IS NOT NULL`,
      values: [this.#group, this.#topic],
    });
    return rows.map(({ partition }) => partition);
  }

  /** In the order of the log. */
  async toReplay(partition: number, limit: number): Promise<RawRecord[]> {
    const { rows } = await this.#pool.query<RecordRow>(
      `SELECT partition, event_id::text AS id, key, position::text, payload, traceparent FROM parked
       WHERE group_name = $1 AND topic = $2 AND partition = $3 AND replay_requested_at IS NOT NULL ORDER BY parked.position LIMIT $4`,
      [this.#group, this.#topic, partition, limit],
    );
    return rows.map(rawRecord);
  }

  /** It was handled. */
  async unpark({ partition, position, id }: RawRecord): Promise<void> {
    await this.#pool.query(
      'DELETE FROM parked WHERE group_name = $1 AND topic = $2 AND partition = $3 AND position = $4 AND event_id = $5',
      [this.#group, this.#topic, partition, String(position), id],
    );
  }

  /** It failed once more, and is not tried again until somebody asks. */
  async parkAgain({ record, reason, error, attempts }: Parking): Promise<void> {
    await this.#pool.query(
      `UPDATE parked SET reason = $5, error = $6, attempts = attempts + $7, parked_at = now(), replay_requested_at = NULL
       WHERE group_name = $1 AND topic = $2 AND partition = $3 AND position = $4 AND event_id = $8`,
      [this.#group, this.#topic, record.partition, String(record.position), reason, wordsOf(error), attempts, record.id],
    );
  }
}

/** What is kept of an error beside a record. */
export function wordsOf(error: unknown): string {
  const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return storable(maskCredentials(words)).slice(0, LONGEST_ERROR);
}

/** A text of PostgreSQL can't hold NUL; somebody else's record may. */
function storable(text: string): string {
  return text.replaceAll('\0', '');
}
