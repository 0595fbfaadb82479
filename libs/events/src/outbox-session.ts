/** The one connection of a sequencer, and that of a publisher: beside the service's pool, and planned for full tables. */
import type { Database } from '@maildoot/db/database';
import pg from 'pg';

export async function openSession(
  database: Pick<Database, 'pool'>,
  prepare: (client: pg.Client) => Promise<unknown> = async () => {},
): Promise<{ client: pg.Client } & AsyncDisposable> {
  const client = new pg.Client(database.pool.options);
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
