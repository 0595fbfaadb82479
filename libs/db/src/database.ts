// One pool per service and process. Prisma reads and writes through it, and so does the hand-written SQL of the hot paths, so that a
// service's share of connections is one number.
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { CommitOutcomeUnknown, isConnectionError, sqlState, TransactionAborted } from './errors.ts';
import { type Log, silentLog } from './log.ts';

export interface DatabaseOptions {
  /** postgresql://user:password@host:port/database */
  url: string;
  /** The service's own schema; unqualified names mean it, and only it. */
  schema: string;
  maxConnections: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  logger?: Log;
  /** How long a statement may run. Default 30 s; 0 is no limit. */
  statementTimeoutMs?: number;
  /** How long to wait for a free or a new connection. Default 5 s. */
  connectTimeoutMs?: number;
}

export interface Database extends AsyncDisposable {
  pool: pg.Pool;
  schema: string;
  /** For `new PrismaClient({ adapter: database.prismaAdapter() })`: on the same pool and schema. Disposing the client leaves the pool open. */
  prismaAdapter(): PrismaPg;
  /**
   * BEGIN, `work`, COMMIT; ROLLBACK when `work` throws. A connection that broke leaves the pool.
   * Throws CommitOutcomeUnknown when the connection was lost during COMMIT.
   */
  transaction<T>(work: (client: pg.PoolClient) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Gives no connections, but this error, to those who wait for one and to all who come until it is called with undefined; see watch.ts. */
  refuse(error: Error | undefined): void;
  /** Those in use too: what was asked on them fails. */
  breakConnections(): void;
}

export interface TransactionOptions {
  isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readOnly?: boolean;
}

/** So long a server may take to read that nobody asks any more. */
const longestGoodbyeMs = 1000;

export function openDatabase(options: DatabaseOptions): Database {
  const { schema } = options;
  const log = options.logger ?? silentLog;
  const statementTimeoutMs = options.statementTimeoutMs ?? 30_000;
  const pool = new pg.Pool({
    ...connectionTo(options.url, { search_path: schema }),
    application_name: options.applicationName,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementTimeoutMs,
    // The server enforces the limit above; this one is for a server or network that no longer answers at all.
    ...(statementTimeoutMs > 0 && { query_timeout: statementTimeoutMs + 5_000 }),
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  const lost = (error: Error): void => log.warn({ err: error, schema }, 'database: a connection was lost');
  // Without a listener either event would end the process. The pool's is for idle clients, the client's for those in use.
  pool.on('error', lost);
  pool.on('connect', (client) => client.on('error', ignore));
  const connected = new Set<pg.PoolClient>();
  pool.on('connect', (client) => connected.add(client));
  pool.on('remove', (client) => connected.delete(client));
  const refuse = refusing(pool);

  const breakConnections = (): void => {
    for (const { connection } of connected) connection.stream.destroy();
  };
  // The pool calls itself ended when it has written its goodbyes. A server that is stopped before it has read them would tell us that it
  // ends our connections, and that is told as a loss.
  const end = async (): Promise<void> => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    pool.on('remove', () => connected.size === 0 && resolve());
    await pool.end();
    if (connected.size === 0) return;
    const timer = setTimeout(breakConnections, longestGoodbyeMs);
    await closed;
    clearTimeout(timer);
  };

  let ended: Promise<void> | undefined;
  return {
    pool,
    schema,
    prismaAdapter: () => new PrismaPg(pool, { schema }),
    transaction: (work, transactionOptions) => transaction(pool, work, transactionOptions),
    refuse,
    breakConnections,
    [Symbol.asyncDispose]: () => (ended ??= end()),
  };
}

/** What pg needs to connect, with settings of the session added to those that the URL has. */
export function connectionTo(url: string, settings: Record<string, string | number>): { connectionString: string; options: string } {
  for (const value of Object.values(settings)) {
    if (!/^[\w.-]+$/.test(String(value))) throw new TypeError(`not a plain setting or schema name: ${value}`);
  }
  const added = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  const parsed = new URL(url);
  // pg lets the URL win over what it is given beside it, so `options` of the URL must not stay there.
  const own = parsed.searchParams.get('options');
  parsed.searchParams.delete('options');
  return { connectionString: parsed.href, options: [own, ...added].filter((part) => part !== null).join(' ') };
}

type Connected = (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: Error | boolean) => void) => void;

/** Everything that asks the pool for a connection, Prisma and `pool.query` too, comes through `connect`. */
function refusing(pool: pg.Pool): (error: Error | undefined) => void {
  const waiting = new Set<(error: Error) => void>();
  const connect = pool.connect.bind(pool);
  let refusal: Error | undefined;

  const ask = (answer: Connected): void => {
    if (refusal !== undefined) {
      const error = refusal;
      process.nextTick(() => answer(error, undefined, ignore));
      return;
    }
    const giveUp = (error: Error): void => answer(error, undefined, ignore);
    waiting.add(giveUp);
    connect((error, client, done) => {
      if (waiting.delete(giveUp)) answer(error, client, done);
      // It was told meanwhile that there is none.
      else if (client !== undefined) done();
    });
  };
  const asked = (callback?: Connected): Promise<pg.PoolClient> | undefined => {
    if (callback !== undefined) return void ask(callback);
    return new Promise((resolve, reject) => ask((error, client) => (client === undefined ? reject(error) : resolve(client))));
  };
  pool.connect = asked as typeof pool.connect;

  return (error) => {
    refusal = error;
    if (error === undefined) return;
    for (const giveUp of waiting) giveUp(error);
    waiting.clear();
  };
}

async function transaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query(beginWith(options));
    let result: T;
    try {
      result = await work(client);
    } catch (error) {
      // On a broken connection the server rolls back by itself; waiting for an answer would only take longer.
      if (!isConnectionError(error)) broken = !(await rolledBack(client));
      throw error;
    }
    await commit(client, () => {
      broken = false;
    });
    return result;
  } finally {
    client.release(broken);
  }
}

async function commit(client: pg.PoolClient, usable: () => void): Promise<void> {
  let command: string;
  try {
    ({ command } = await client.query('COMMIT'));
  } catch (error) {
    // An answer of the server that isn't about the connection (a deferred constraint, a serialization failure) means: rolled back.
    if (sqlState(error) === undefined || isConnectionError(error)) throw new CommitOutcomeUnknown({ cause: error });
    usable();
    throw error;
  }
  usable();
  if (command !== 'COMMIT') throw new TransactionAborted();
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

function beginWith({ isolation, readOnly }: TransactionOptions): string {
  return ['BEGIN', isolation && `ISOLATION LEVEL ${isolation}`, readOnly && 'READ ONLY'].filter(Boolean).join(' ');
}

function ignore(): void {}
