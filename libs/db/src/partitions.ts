// Daily partitions of tables that grow with traffic: made a week ahead, dropped whole when their time is over. Days are UTC days;
// the key is a UUIDv7, which contains its time, or a timestamptz. The parent comes from a migration (PARTITION BY RANGE).
import type { Clock } from '@maildoot/runtime/clock';
import { uuidAt } from '@maildoot/runtime/ids';
import pg from 'pg';
import { sqlState, sqlStates } from './errors.ts';
import { type Log, silentLog } from './log.ts';

export interface PartitionedTable {
  table: string;
  by: 'uuidv7' | 'timestamp';
  /** Days after today that must have their partition. Default 7. */
  aheadDays?: number;
  /** Days before today, for rows whose id is a little older than their insert. Default 1. */
  backDays?: number;
  /** Storage parameters of a partition, which a partitioned table itself can't have: `{ fillfactor: 80 }`. */
  storage?: Record<string, number>;
}

export interface RetainedTable {
  table: string;
  /** A partition goes when its last moment is this long ago. */
  retentionDays: number;
  /** Asked with the partition's name in the dropping transaction: false keeps it, because a row in it is not done with. */
  mayDrop?(client: pg.PoolClient, partition: string): Promise<boolean>;
}

/** Partitions could not be made: inserts fail once the last one is full. */
export class PartitionError extends Error {
  readonly table: string;
  /** Up to when rows have a partition; undefined when there is none at all. */
  readonly coveredUntil: Date | undefined;

  constructor(table: string, coveredUntil: Date | undefined, cause: unknown) {
    const until = coveredUntil === undefined ? 'it has none' : `rows have one until ${coveredUntil.toISOString()}`;
    super(`partitions of ${table} could not be made, ${until}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.name = 'PartitionError';
    this.table = table;
    this.coveredUntil = coveredUntil;
  }
}

const dayMs = 24 * 60 * 60 * 1000;

/** Makes the missing partitions and returns their names. Several processes may do it at once. Throws PartitionError. */
export async function ensurePartitions(pool: pg.Pool, table: PartitionedTable, now = new Date()): Promise<string[]> {
  const today = startOfDay(now);
  const days: Date[] = [];
  for (let offset = -(table.backDays ?? 1); offset <= (table.aheadDays ?? 7); offset++)
    days.push(new Date(today.getTime() + offset * dayMs));
  let existing: Map<string, Date> = new Map();
  const made: string[] = [];
  try {
    existing = await partitionsOf(pool, table.table);
    // Nearest first: when the database is about to refuse, today matters more than next week.
    const missing = days.filter((day) => !existing.has(partitionName(table.table, day)));
    missing.sort((a, b) => Math.abs(a.getTime() - today.getTime()) - Math.abs(b.getTime() - today.getTime()));
    for (const day of missing) {
      const name = partitionName(table.table, day);
      if (await withShortLocks(pool, table.table, (client) => makePartition(client, table, name, day))) made.push(name);
      existing.set(name, day);
    }
    return made;
  } catch (error) {
    throw new PartitionError(table.table, coveredUntil(existing, today), error);
  }
}

/** Drops partitions that are over and returns their names. What is locked right now waits for the next call. */
export async function dropExpired(pool: pg.Pool, retained: RetainedTable, now = new Date()): Promise<string[]> {
  const oldest = now.getTime() - retained.retentionDays * dayMs;
  const dropped: string[] = [];
  for (const [name, day] of await partitionsOf(pool, retained.table)) {
    if (day.getTime() + dayMs > oldest) continue;
    const drop = async (client: pg.PoolClient): Promise<boolean> => {
      if (!(await partitionsOf(client, retained.table)).has(name)) return false;
      if (retained.mayDrop !== undefined) {
        // Nobody may write into it between the question and the drop.
        await client.query(`LOCK TABLE ${pg.escapeIdentifier(name)} IN SHARE ROW EXCLUSIVE MODE`);
        if (!(await retained.mayDrop(client, name))) return false;
      }
      await client.query(`DROP TABLE ${pg.escapeIdentifier(name)}`);
      return true;
    };
    const gone = await withShortLocks(pool, retained.table, drop).catch((error: unknown) => {
      if (sqlState(error) === sqlStates.lockNotAvailable) return false;
      throw error;
    });
    if (gone) dropped.push(name);
  }
  return dropped;
}

export interface KeepPartitionsOptions {
  pool: pg.Pool;
  tables: (PartitionedTable & Partial<RetainedTable>)[];
  clock: Clock;
  logger?: Log;
  /** Default one hour. */
  everyMs?: number;
  /** Called beside the log line each time it fails after the start: for a metric that alerts. */
  onFailure?(error: unknown): void;
}

/** Ensures before it returns (and throws then, for a service without a partition for today can't work), and goes on with that and with dropping. */
export async function keepPartitions(options: KeepPartitionsOptions): Promise<AsyncDisposable> {
  const { pool, tables, clock } = options;
  const log = options.logger ?? silentLog;
  for (const table of tables) await ensurePartitions(pool, table, clock.now());
  const stop = new AbortController();
  const attend = async (work: () => Promise<unknown>, table: string): Promise<void> => {
    try {
      await work();
    } catch (error) {
      log.error({ err: error, table }, 'partitions: could not be kept');
      options.onFailure?.(error);
    }
  };
  const loop = (async () => {
    for (let first = true; !stop.signal.aborted; first = false) {
      for (const table of tables) {
        if (!first) await attend(() => ensurePartitions(pool, table, clock.now()), table.table);
        const { retentionDays } = table;
        if (retentionDays !== undefined) await attend(() => dropExpired(pool, { ...table, retentionDays }, clock.now()), table.table);
      }
      await clock.sleep(options.everyMs ?? 60 * 60 * 1000, stop.signal).catch(() => {});
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await loop;
    },
  };
}

function partitionName(table: string, day: Date): string {
  return `${table}_p${day.toISOString().slice(0, 10).replaceAll('-', '')}`;
}

async function makePartition(client: pg.PoolClient, table: PartitionedTable, name: string, day: Date): Promise<boolean> {
  if ((await partitionsOf(client, table.table)).has(name)) return false;
  const [parent, child] = [pg.escapeIdentifier(table.table), pg.escapeIdentifier(name)];
  const bound = (at: Date): string => pg.escapeLiteral(table.by === 'uuidv7' ? uuidAt(at) : at.toISOString());
  const storage = Object.entries(table.storage ?? {}).map(([key, value]) => `${pg.escapeIdentifier(key)} = ${Number(value)}`);
  // Made beside the table and attached: CREATE TABLE … PARTITION OF would lock out every reader of the parent (ACCESS EXCLUSIVE),
  // ATTACH only other changes of its definition.
  await client.query(
    `CREATE TABLE ${child} (LIKE ${parent} INCLUDING ALL EXCLUDING IDENTITY)${storage.length > 0 ? ` WITH (${storage.join(', ')})` : ''}`,
  );
  await client.query(
    `ALTER TABLE ${parent} ATTACH PARTITION ${child} FOR VALUES FROM (${bound(day)}) TO (${bound(new Date(day.getTime() + dayMs))})`,
  );
  return true;
}

/** The daily partitions by name, with their day. */
async function partitionsOf(on: pg.Pool | pg.PoolClient, table: string): Promise<Map<string, Date>> {
  const { rows } = await on.query<{ name: string | null }>(
    `SELECT child.relname AS name FROM pg_class parent
       LEFT JOIN pg_inherits ON inhparent = parent.oid
       LEFT JOIN pg_class child ON child.oid = inhrelid
      WHERE parent.oid = to_regclass($1) AND parent.relkind = 'p'
      ORDER BY 1`,
    [pg.escapeIdentifier(table)],
  );
  if (rows.length === 0) throw new Error(`${table} is no partitioned table of this schema`);
  const found = new Map<string, Date>();
  for (const { name } of rows) {
    const day = name?.startsWith(`${table}_p`) === true ? /^(\d{4})(\d{2})(\d{2})$/.exec(name.slice(table.length + 2)) : null;
    if (name !== null && day !== null) found.set(name, new Date(`${day[1]}-${day[2]}-${day[3]}T00:00:00Z`));
  }
  return found;
}

/**
 * One transaction under the table's advisory lock, in which no statement waits long for a table lock: whoever waits for one makes
 * everybody behind it wait as well. Tried again a few times.
 */
async function withShortLocks<T>(pool: pg.Pool, table: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const client = await pool.connect();
    let broken: boolean | Error = true;
    try {
      await client.query('BEGIN');
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended('partitions of ' || $1::regclass::oid, 0))", [
        pg.escapeIdentifier(table),
      ]);
      await client.query("SET LOCAL lock_timeout = '300ms'");
      const result = await work(client);
      await client.query('COMMIT');
      broken = false;
      return result;
    } catch (error) {
      if (sqlState(error) !== undefined) {
        broken = await client.query('ROLLBACK').then(
          () => false,
          () => true,
        );
      }
      if (sqlState(error) !== sqlStates.lockNotAvailable || attempt === 5) throw error;
    } finally {
      client.release(broken);
    }
  }
}

function coveredUntil(existing: Map<string, Date>, today: Date): Date | undefined {
  const days = new Set([...existing.values()].map((day) => day.getTime()));
  if (!days.has(today.getTime())) return undefined;
  let end = today.getTime();
  while (days.has(end)) end += dayMs;
  return new Date(end);
}

function startOfDay(at: Date): Date {
  return new Date(Math.floor(at.getTime() / dayMs) * dayMs);
}
