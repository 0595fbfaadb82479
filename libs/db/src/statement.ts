// One statement that is a transaction of its own: a write that needs no decision between its steps saves the round trips of BEGIN and COMMIT.
import type pg from 'pg';
import { CommitOutcomeUnknown, isConnectionError, sqlState } from './errors.ts';

/**
 * Runs it. Throws the server's error when nothing was written, a connection error when there was no connection to run it on, and
 * CommitOutcomeUnknown when the connection was lost before the answer.
 */
export async function runStatement<R extends pg.QueryResultRow>(pool: pg.Pool, query: pg.QueryConfig): Promise<pg.QueryResult<R>> {
  const client = await pool.connect();
  let broken = false;
  try {
    return await client.query<R>(query);
  } catch (error) {
    // As for COMMIT: every other answer of the server means that nothing was written.
    broken = sqlState(error) === undefined || isConnectionError(error);
    throw broken ? new CommitOutcomeUnknown({ cause: error }) : error;
  } finally {
    client.release(broken);
  }
}
