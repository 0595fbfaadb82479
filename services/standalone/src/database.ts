/** The PostgreSQL of the platform: the embedded one, or somebody's own. */
import { startEmbeddedPostgres } from '@maildoot/db/embedded-postgres';
import { SettingsError } from '@maildoot/runtime/config';
import type { Logger } from '@maildoot/runtime/logger';
import pg from 'pg';
import type { Config } from './config.ts';
import type { Home } from './home.ts';

export interface DatabaseParts {
  config: Config;
  home: Home;
  progress: (text: string) => void;
  logger: Logger;
  maxConnections: number;
  /** Of the embedded one; a free one otherwise. */
  port?: number;
}

export interface StartedDatabase extends AsyncDisposable {
  url: string;
  /** Of the embedded one. */
  pid: number | undefined;
  /** Resolves when the embedded one has ended, however. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export async function startDatabase({ config, home, progress, logger, maxConnections, port }: DatabaseParts): Promise<StartedDatabase> {
  if (config.databaseUrl !== undefined) {
    await assertUsable(config.databaseUrl);
    return { url: config.databaseUrl, pid: undefined, exited: new Promise(() => {}), async [Symbol.asyncDispose]() {} };
  }
  const postgres = await startEmbeddedPostgres({
    directory: home.databaseDirectory,
    maxConnections,
    ...(port === undefined ? {} : { port }),
    // In a terminal Ctrl-C goes to the whole process group, and would end the database under services that are still finishing.
    ownProcessGroup: process.stdin.isTTY === true,
    logger: {
      info: (_fields, text) => progress(text),
      warn: (fields, text) => logger.warn(fields, text),
      error: (fields, text) => logger.error(fields, text),
    },
  });
  return {
    url: postgres.url,
    pid: postgres.pid,
    exited: postgres.exited,
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  };
}

/** Tells what is wrong with somebody's own database before the services meet it one by one. */
async function assertUsable(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5000 });
  try {
    await client.connect();
    const { rows } = await client.query<{ version: number; may_create: boolean }>(
      `SELECT current_setting('server_version_num')::int AS version, has_database_privilege(current_database(), 'CREATE') AS may_create`,
    );
    if ((rows[0]?.version ?? 0) < 150_000) throw new Error('it is older than PostgreSQL 15');
    if (rows[0]?.may_create !== true) throw new Error('its role needs the right CREATE on the database, for the schemas of the services');
  } catch (cause) {
    const message = `can’t be used: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new SettingsError([{ name: 'DATABASE_URL', message }]);
  } finally {
    await client.end().catch(() => {});
  }
}
