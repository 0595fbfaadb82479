// A fresh database per test file on one real PostgreSQL: that of TEST_DATABASE_URL (tools/test.ts starts one for all files), else one that
// this process starts once.
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { startTestPostgres } from './postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  /** A superuser's connection to a database that nobody else uses. */
  url: string;
  name: string;
}

let ownServer: Promise<{ url: string }> | undefined;

export async function createTestDatabase(): Promise<TestDatabase> {
  const serverUrl = await superuserUrl();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await run(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  let dropped: Promise<void> | undefined;
  return {
    url: url.href,
    name,
    [Symbol.asyncDispose]() {
      // FORCE: a test that failed may have left connections.
      dropped ??= run(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      return dropped;
    },
  };
}

async function superuserUrl(): Promise<string> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') return given;
  // Its keeper stops it when this process ends, however it ends.
  ownServer ??= startTestPostgres();
  return (await ownServer).url;
}

async function run(serverUrl: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl, application_name: 'testkit' });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
