// Prisma's schema engine as WebAssembly, on a pg pool. The native engine that the CLI downloads does the same; this one needs no
// download host, runs in this process and is what `migrate` and tools/migration.ts use.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, type SqlDriverAdapter } from '@prisma/driver-adapter-utils';
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
    bindMigrationAwareSqlAdapterFactory(new EngineAdapter(pool, schema, runScript)),
  );
}

/**
 * Prisma's adapter with two gaps filled: it cuts a script at every semicolon, inside strings and function bodies too, which
 * PostgreSQL itself knows better; and it does not know the type "char" of the system catalogue, by which the engine reads a schema.
 */
class EngineAdapter extends PrismaPg {
  readonly #runScript: (script: string) => Promise<void>;
  readonly #pool: CharAwarePool;

  constructor(pool: pg.Pool, schema: string, runScript: (script: string) => Promise<void>) {
    const charAware = charAwarePool(pool);
    super(charAware.pool, { schema });
    this.#pool = charAware;
    this.#runScript = runScript;
  }

  override async connect(): ReturnType<PrismaPg['connect']> {
    const adapter = await super.connect();
    const queryRaw = adapter.queryRaw.bind(adapter);
    const { charColumns } = this.#pool;
    const own: Pick<SqlDriverAdapter, 'executeScript' | 'queryRaw'> = {
      executeScript: this.#runScript,
      async queryRaw(query) {
        const result = await queryRaw(query);
        for (const index of charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
        return result;
      },
    };
    return Object.assign(adapter, own);
  }
}

const charOid = 18;
const textOid = 25;

interface CharAwarePool {
  pool: pg.Pool;
  /** By the rows of a result, the indexes of its "char" columns. */
  charColumns: WeakMap<object, number[]>;
}

/** Tells the adapter that a "char" is a text, and remembers that it was none. */
function charAwarePool(pool: pg.Pool): CharAwarePool {
  const charColumns = new WeakMap<object, number[]>();
  const query = async (config: pg.QueryArrayConfig): Promise<pg.QueryArrayResult> => {
    const result = await pool.query(config);
    const found = [...result.fields.keys()].filter((index) => result.fields[index]?.dataTypeID === charOid);
    for (const index of found) result.fields[index]!.dataTypeID = textOid;
    charColumns.set(result.rows, found);
    return result;
  };
  return { pool: Object.create(pool, { query: { value: query } }), charColumns };
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
    const imports: Record<string, unknown> = { ...glue };
    for (const name of Object.keys(imports)) if (name.startsWith('__wbg_setTimeout_')) imports[name] = setTimeoutUnreferenced;
    // The engine looks for this global when it panics; without it the words are lost.
    Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: panic } });
    const { instance } = await WebAssembly.instantiate(await readFile(path), { './schema_engine_bg.js': imports });
    glue.__wbg_set_wasm(instance.exports);
    const start = instance.exports.__wbindgen_start;
    if (typeof start !== 'function') throw new Error('@prisma/schema-engine-wasm has changed: no __wbindgen_start');
    start();
  })();
  return loaded;
}

/** The engine waits for its lock with a limit of 10 s and never clears that timer: a finished program would stay for as long. */
function setTimeoutUnreferenced(callback: () => void, milliseconds: number): NodeJS.Timeout {
  return setTimeout(callback, milliseconds).unref();
}

function panic(message: string): never {
  throw new Error(`Prisma's schema engine panicked: ${message}`);
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
