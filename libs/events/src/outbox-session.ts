/** The one connection of a sequencer, and that of a publisher: beside the service's pool, and planned for full tables. */
import type { Database } from '@maildoot/db/database';
import pg from 'pg';

// What it is asked takes milliseconds. A connection that the network has lost without a word would otherwise be waited for as long as the
// slowest statement of the service may take, and nothing would be told meanwhile; the server gives up before we do.
const limits = { statement_timeout: 8_000, query_timeout: 10_000 };

export async function openSession(
  database: Pick<Database, 'pool'>,
  prepare: (client: pg.Client) => Promise<unknown> = async () => {},
): Promise<{ client: pg.Client } & AsyncDisposable> {
  const client = new pg.Client({ ...database.pool.options, ...limits });
  client.on('error', () => {});
  const session = { client, [Symbol.asyncDispose]: () => client.end().catch(() => {}) };
  try {
    await client.connect();
    await prepare(client);
    // The statements are prepared while the tables may still be empty; the plan must fit full ones.
    for (const kind of ['seqscan', 'bitmapscan', 'sort', 'hashjoin', 'mergejoin']) await client.query(`SET enable_${kind} = off`);
    await client.query('SET plan_cache_mode = force_generic_plan; SET jit = off');
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}
