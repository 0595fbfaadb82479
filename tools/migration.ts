// Writes a service's next migration: what lies between its migrations so far and its schema.prisma. In place of `prisma migrate dev`,
// whose engine has to be downloaded.
//
//   make migration SERVICE=auth NAME=add_totp      node tools/migration.ts auth add_totp
//   node tools/migration.ts --check                says whether every service's migrations and schema agree
//
//   1. Start an empty PostgreSQL and run the migrations there: the libraries' (libs/*/migrations), then the service's.
//   2. Let Prisma's engine compare the result with schema.prisma, leaving out the libraries' tables and single partitions.
//   3. Write the difference to services/<service>/prisma/migrations/<timestamp>_<name>/migration.sql, to be read and completed by hand:
//      Prisma knows nothing of partitions, storage settings, or the locks that a statement takes.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../libs/db/src/database.ts';
import { startEmbeddedPostgres } from '../libs/db/src/embedded-postgres.ts';
import { migrate } from '../libs/db/src/migrate.ts';
import { createSchemaEngine } from '../libs/db/src/schema-engine.ts';

export interface DifferenceOptions {
  /** An empty database. */
  url: string;
  /** The directory of schema.prisma and migrations. */
  prismaDirectory: string;
  /** Directories of migrations whose tables schema.prisma does not list. */
  libraryMigrations: string[];
}

/** The SQL that is missing, '' when there is none. */
export async function missingMigration({ url, prismaDirectory, libraryMigrations }: DifferenceOptions): Promise<string> {
  const schema = 'scratch';
  await using database = openDatabase({ url, schema, maxConnections: 2, applicationName: 'migration', statementTimeoutMs: 0 });
  const { pool } = database;
  await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  await migrate({ url, schema, migrations: libraryMigrations });
  const { rows: owned } = await pool.query<{ name: string }>('SELECT tablename AS name FROM pg_tables WHERE schemaname = $1', [schema]);
  await migrate({ url, schema, migrations: [...libraryMigrations, join(prismaDirectory, 'migrations')] });
  const { rows: partitions } = await pool.query<{ name: string }>(
    'SELECT relname AS name FROM pg_class WHERE relispartition AND relnamespace = $1::regnamespace',
    [schema],
  );
  const externalTables = [...owned, ...partitions].map(({ name }) => `${schema}.${name}`);
  const files = [{ path: 'schema.prisma', content: await readFile(join(prismaDirectory, 'schema.prisma'), 'utf8') }];
  const runScript = async (script: string): Promise<void> => void (await pool.query(script));
  const engine = await createSchemaEngine({ pool, schema, runScript });
  try {
    const { stdout } = await engine.diff({
      from: { tag: 'schemaDatasource', files, configDir: prismaDirectory },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters: { externalTables, externalEnums: [] },
    });
    const sql = stdout?.trim() ?? '';
    return sql === '' || sql.includes('This is an empty migration') ? '' : `${sql}\n`;
  } finally {
    engine.free();
  }
}

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

async function main([first, second]: string[]): Promise<number> {
  const services = (await readdir(`${root}/services`)).filter((service) => existsSync(`${root}/services/${service}/prisma/schema.prisma`));
  const check = first === '--check';
  const name = second
    ?.toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '');
  if (!check && (first === undefined || !services.includes(first) || !name)) {
    console.error(`usage: make migration SERVICE=<${services.join('|')}> NAME=<what_changes>`);
    return 2;
  }
  const libraries = (await readdir(`${root}/libs`)).map((library) => `${root}/libs/${library}/migrations`);
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-migration-'));
  try {
    await using server = await startEmbeddedPostgres({ directory });
    let missing = 0;
    for (const service of check ? services : [first ?? '']) {
      const prismaDirectory = `${root}/services/${service}/prisma`;
      const sql = await missingMigration({ url: server.url, prismaDirectory, libraryMigrations: libraries });
      if (sql === '') {
        console.log(`${service}: migrations and schema.prisma agree`);
      } else if (check) {
        missing++;
        console.error(`${service}: schema.prisma differs from its migrations, run make migration SERVICE=${service} NAME=…:\n${sql}`);
      } else {
        await write(`${prismaDirectory}/migrations`, name ?? '', sql);
      }
    }
    return missing > 0 ? 1 : 0;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a new migration's name begins with: now, or a second after the newest one where that is dated later, for they run in the order of names. */
export function nextTimestamp(names: readonly string[], now: Date): string {
  const times = names
    .map((name) => /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_/.exec(name))
    .filter((parts) => parts !== null)
    .map(([, year, month, day, hour, minute, second]) => Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) + 1000);
  return new Date(Math.max(now.getTime(), ...times)).toISOString().replaceAll(/\D/g, '').slice(0, 14);
}

async function write(migrations: string, name: string, sql: string): Promise<void> {
  const names = existsSync(migrations) ? await readdir(migrations) : [];
  const path = `${migrations}/${nextTimestamp(names, new Date())}_${name}`;
  await mkdir(path, { recursive: true });
  await writeFile(`${path}/migration.sql`, sql);
  console.log(`wrote ${path.slice(root.length + 1)}/migration.sql; read it before you commit it:\n\n${sql}`);
  if (/^\s*(DROP|.*\bDROP COLUMN\b)/im.test(sql)) {
    console.log('It drops something. Expand first, contract a release later: old and new code run side by side during an upgrade.');
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
