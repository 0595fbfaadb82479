// Brings a service's schema up to date: its own migrations and those of the libraries whose tables live in it, with Prisma's
// _prisma_migrations table, so that Prisma's CLI reads the same history.
//
// A kill at any moment is safe: a script and the note that it is finished are one transaction, so an unfinished note means that
// nothing of the script happened and it can be tried again.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connectionTo } from './database.ts';
import { sqlState, sqlStates } from './errors.ts';
import { type Log, silentLog } from './log.ts';
import { createSchemaEngine, type Migration, migrationList } from './schema-engine.ts';

export interface MigrateOptions {
  url: string;
  /** Created when missing. */
  schema: string;
  /** Directories of <timestamp>_<name>/migration.sql; names must differ across all of them. */
  migrations: string[];
  logger?: Log;
  /** How long one statement may wait for a lock that running services hold before the script is rolled back and tried again. Default 5 s. */
  lockTimeoutMs?: number;
}

class MigrationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MigrationError';
  }
}

/** One at a time in a database, whatever the schema: Prisma's engine waits for a lock of its own for 10 s only. */
const advisoryLockKey = 7_308_041;
const attempts = 5;

export async function migrate(options: MigrateOptions): Promise<{ applied: string[] }> {
  const { schema } = options;
  const log = options.logger ?? silentLog;
  const migrations = await readMigrations(options.migrations);
  const settings = { search_path: schema, lock_timeout: options.lockTimeoutMs ?? 5_000 };
  const pool = new pg.Pool({
    ...connectionTo(options.url, settings),
    application_name: 'migrate',
    max: 2,
    connectionTimeoutMillis: 10_000,
  });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const lock = new pg.Client({ ...connectionTo(options.url, {}), application_name: 'migrate', connectionTimeoutMillis: 10_000 });
  lock.on('error', () => {});
  try {
    await lock.connect();
    await lock.query('SELECT pg_advisory_lock($1)', [advisoryLockKey]);
    // Asked first: IF NOT EXISTS too wants the right to create schemas, which a service's role need not have.
    const { rowCount } = await lock.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
    if (rowCount === 0) await lock.query(`CREATE SCHEMA ${pg.escapeIdentifier(schema)}`);
    for (let attempt = 1; ; attempt++) {
      const pending = await findPending(pool, schema, migrations);
      // The usual start: nothing to do, and the engine (50 ms) isn't even loaded.
      if (pending.length === 0) return { applied: [] };
      try {
        const applied = await apply(pool, schema, migrations);
        log.info({ schema, applied }, 'migrate: applied');
        return { applied };
      } catch (error) {
        if (sqlState(error) !== sqlStates.lockNotAvailable || attempt === attempts) throw error;
        log.warn({ schema, attempt }, 'migrate: a lock could not be had in time, trying again');
        await sleep(500 * 2 ** attempt);
      }
    }
  } finally {
    await lock.end().catch(() => {});
    await pool.end();
  }
}

/** All migrations of some directories in the order of their names. A directory that does not exist has none. */
async function readMigrations(directories: string[]): Promise<Migration[]> {
  const found = new Map<string, Migration>();
  for (const directory of directories) {
    const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      if (found.has(name)) throw new MigrationError(`two migrations are called ${name}; the second is in ${directory}`);
      found.set(name, { name, sql: await readFile(`${directory}/${name}/migration.sql`, 'utf8') });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function findPending(pool: pg.Pool, schema: string, migrations: Migration[]): Promise<Migration[]> {
  const table = `${pg.escapeIdentifier(schema)}._prisma_migrations`;
  const { rows: present } = await pool.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
  if (present[0]?.there !== true) return migrations;
  const { rows } = await pool.query<{ id: string; migration_name: string; checksum: string; finished: boolean }>(
    `SELECT id, migration_name, checksum, finished_at IS NOT NULL AS finished FROM ${table} WHERE rolled_back_at IS NULL`,
  );
  for (const row of rows.filter((one) => !one.finished)) {
    const migration = migrations.find(({ name }) => name === row.migration_name);
    if (migration !== undefined && !runsInTransaction(migration.sql)) {
      throw new MigrationError(
        `migration ${row.migration_name} of schema ${schema} stopped half way and can't run in a transaction: repair by hand, then set rolled_back_at in ${table}`,
      );
    }
    await pool.query(`UPDATE ${table} SET rolled_back_at = now() WHERE id = $1`, [row.id]);
  }
  const finished = new Map(rows.filter((row) => row.finished).map((row) => [row.migration_name, row.checksum]));
  const changed = migrations.filter(({ name, sql }) => finished.has(name) && finished.get(name) !== checksum(sql));
  if (changed.length > 0) {
    throw new MigrationError(
      `${changed.map(({ name }) => name).join(', ')} of schema ${schema} changed after it was applied to this database: restore it and write a new migration`,
    );
  }
  return migrations.filter(({ name }) => !finished.has(name));
}

async function apply(pool: pg.Pool, schema: string, migrations: Migration[]): Promise<string[]> {
  let failure: { error: unknown; script: string } | undefined;
  const engine = await createSchemaEngine({
    pool,
    schema,
    async runScript(script) {
      try {
        await pool.query(withFinishedNote(script));
      } catch (error) {
        failure = { error, script };
        throw error;
      }
    },
  });
  try {
    const filters = { externalTables: [], externalEnums: [] };
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: migrationList(migrations), filters });
    return appliedMigrationNames;
  } catch (error) {
    if (failure === undefined) throw new MigrationError(`migrating schema ${schema} failed: ${firstLines(error)}`, { cause: error });
    const { script } = failure;
    const name = migrations.find(({ sql }) => sql === script)?.name ?? 'of the engine';
    throw new MigrationError(`migration ${name} of schema ${schema} failed: ${serverWords(failure.error, script)}`, {
      cause: failure.error,
    });
  } finally {
    engine.free();
  }
}

/** pg sends a text of several statements as one, which the server runs as one transaction. */
function withFinishedNote(script: string): string {
  if (!runsInTransaction(script)) return script;
  const note = `UPDATE _prisma_migrations SET finished_at = now()
    WHERE checksum = '${checksum(script)}' AND finished_at IS NULL AND rolled_back_at IS NULL`;
  // The line break ends a comment in the script's last line.
  return `${script}\n;${note}`;
}

function runsInTransaction(script: string): boolean {
  return !/^[^'-]*\bCONCURRENTLY\b/im.test(script);
}

/** As Prisma computes it. */
function checksum(script: string): string {
  return createHash('sha256').update(script).digest('hex');
}

function serverWords(error: unknown, script: string): string {
  if (!(error instanceof pg.DatabaseError)) return firstLines(error);
  const at = Number(error.position);
  const line = at > 0 && at <= script.length ? ` (line ${script.slice(0, at).split('\n').length})` : '';
  return `${error.message}${line}${error.detail === undefined ? '' : `: ${error.detail}`}`;
}

function firstLines(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .split('\n')
    .filter((line) => !/^\s*\d+:|^\s+(at|with) /.test(line))
    .join(' ')
    .trim();
}
