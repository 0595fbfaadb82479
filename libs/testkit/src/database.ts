// A fresh database per test file on one real PostgreSQL: that of TEST_DATABASE_URL (tools/test.ts starts one for all files), else one that
// this process starts once. With its tables where they are wanted: they are made once in a server, by whoever comes first, and copied.
import { createHash, randomBytes } from 'node:crypto';
import { migrate } from '@maildoot/db/migrate';
import { Client, escapeIdentifier } from 'pg';
import { startTestPostgres } from './postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  /** A superuser's connection to a database that nobody else uses. */
  url: string;
  name: string;
}

export interface Template {
  /** Of whose tables: the same name is the same tables. */
  name: string;
  /** Makes them in the database at this URL, and leaves no connection. Where they are not copied, it isn't called: whoever uses them makes them. */
  make(url: string): Promise<void>;
}

/** The tables of these schemas, each by the directories of its migrations. */
export function tablesOf(schemas: Readonly<Record<string, string[]>>): Template {
  const hash = createHash('sha256').update(JSON.stringify(schemas)).digest('hex').slice(0, 16);
  return {
    name: `${Object.keys(schemas).join('_')}_${hash}`,
    async make(url) {
      for (const [schema, migrations] of Object.entries(schemas)) await migrate({ url, schema, migrations });
    },
  };
}

/** Of all who make templates in a server. */
const makingLock = 7_308_042;

let ownServer: Promise<{ url: string }> | undefined;

/** `template`: begins with those tables, if the server is thrown away after the tests. In somebody's own server nothing may be left. */
export async function createTestDatabase({ template }: { template?: Template } = {}): Promise<TestDatabase> {
  const serverUrl = await superuserUrl();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await connected(serverUrl, async (client) => {
    const copied = template !== undefined && isThrownAway() ? ` TEMPLATE ${await made(template, serverUrl, client)}` : '';
    await client.query(`CREATE DATABASE ${name}${copied}`);
  });
  let dropped: Promise<void> | undefined;
  return {
    url: urlOf(serverUrl, name),
    name,
    [Symbol.asyncDispose]() {
      // FORCE: a test that failed may have left connections.
      dropped ??= connected(serverUrl, async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)));
      return dropped;
    },
  };
}

/** Its name in the server, made if nobody has yet. It appears by a rename, complete. */
async function made({ name, make }: Template, serverUrl: string, client: Client): Promise<string> {
  const template = `template_${name}`;
  const isThere = async () => (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template])).rowCount === 1;
  if (await isThere()) return escapeIdentifier(template);
  await client.query('SELECT pg_advisory_lock($1)', [makingLock]);
  try {
    if (await isThere()) return escapeIdentifier(template);
    const making = `making_${randomBytes(8).toString('hex')}`;
    await client.query(`CREATE DATABASE ${making}`);
    await make(urlOf(serverUrl, making));
    await client.query(`ALTER DATABASE ${making} RENAME TO ${escapeIdentifier(template)}`);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [makingLock]);
  }
  return escapeIdentifier(template);
}

/** Whether the server is one that was started for these tests. */
export function isThrownAway(): boolean {
  return ownServer !== undefined || process.env.TEST_DATABASE_THROWN_AWAY === 'true';
}

async function superuserUrl(): Promise<string> {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') return given;
  // Its keeper stops it when this process ends, however it ends.
  ownServer ??= startTestPostgres();
  return (await ownServer).url;
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

async function connected<T>(serverUrl: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: serverUrl, application_name: 'testkit' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
