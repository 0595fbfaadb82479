// Prisma's schema engine as WebAssembly, on a pg pool. The native engine that the CLI downloads does the same; this one needs no
// download host, runs in this process and is what `migrate` and tools/migration.ts use.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, type SqlDriverAdapter } from '@prisma/driver-adapter-utils';
import type { MigrationList, SchemaEngine } from '@prisma/schema-engine-wasm';
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg';
import type pg from 'pg';

export interface Migration {
  name: string;
  sql: string;
}

export interface SchemaEngineOptions {
  pool: pg.Pool;
  schema: string;
  /** Runs a whole migration script. */
  runScript(script: string): Promise<void>;
}

export async function createSchemaEngine({ pool, schema, runScript }: SchemaEngineOptions): Promise<SchemaEngine> {
  await loadWasm();
  const engineLog = (): void => {};
  return glue.SchemaEngine.new(
    { datamodels: undefined },
    engineLog,
    bindMigrationAwareSqlAdapterFactory(new WholeScripts(pool, schema, runScript)),
  );
}

/** Prisma's adapter cuts a script at every semicolon, inside strings and function bodies too; PostgreSQL itself knows better. */
class WholeScripts extends PrismaPg {
  readonly #runScript: (script: string) => Promise<void>;

  constructor(pool: pg.Pool, schema: string, runScript: (script: string) => Promise<void>) {
    super(pool, { schema });
    this.#runScript = runScript;
  }

  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect();
    const whole: Pick<SqlDriverAdapter, 'executeScript'> = { executeScript: this.#runScript };
    return Object.assign(adapter, whole);
  }
}

// Node has it; its type comes with the browser's library only.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>;
};

let loaded: Promise<void> | undefined;

/** The package imports its .wasm as a module, which Node only does with a flag, so it is instantiated by hand. */
function loadWasm(): Promise<void> {
  loaded ??= (async () => {
    const path = fileURLToPath(import.meta.resolve('@prisma/schema-engine-wasm')).replace(/[^/\\]+$/, 'schema_engine_bg.wasm');
    const { instance } = await WebAssembly.instantiate(await readFile(path), { './schema_engine_bg.js': { ...glue } });
    glue.__wbg_set_wasm(instance.exports);
    const start = instance.exports.__wbindgen_start;
    if (typeof start !== 'function') throw new Error('@prisma/schema-engine-wasm has changed: no __wbindgen_start');
    start();
  })();
  return loaded;
}

export function migrationList(migrations: Migration[]): MigrationList {
  return {
    baseDir: '/',
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
    })),
  };
}
