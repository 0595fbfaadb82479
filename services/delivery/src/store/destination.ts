// Back-off of destinations: when an operator's hosts can't be reached, its rows wait together instead of each burning an attempt.
import type { Database } from '@maildoot/db/database';

/** Notes a failure to reach any host. The back-off doubles from 5 s and stays below the first retry delay that people expect to see. */
export async function backOff(database: Database, name: string, now: Date): Promise<void> {
  await database.pool.query(
    `INSERT INTO destination AS d (name, failures, back_off_until) VALUES ($1, 1, $2::timestamptz + interval '5 seconds')
     ON CONFLICT (name) DO UPDATE SET
       failures = d.failures + 1,
       back_off_until = $2::timestamptz + LEAST(interval '40 seconds', interval '5 seconds' * power(2, LEAST(d.failures, 3)))`,
    [name, now],
  );
}

/** A session was opened: the back-off ends. */
export async function endBackOff(database: Database, name: string): Promise<void> {
  await database.pool.query('DELETE FROM destination WHERE name = $1', [name]);
}

/** One whose back-off ended long ago and that was not reached since: nothing was sent to it, or by another process. */
export async function forgetOldBackOffs(database: Database, now: Date): Promise<void> {
  await database.pool.query('DELETE FROM destination WHERE back_off_until < $1', [new Date(now.getTime() - 86_400_000)]);
}
